import { Inject, Logger, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import { localSecret } from '../identity/local-secret.js';
import { packageVersion } from '../web-search/package-root.js';
import { CALLBACKS, type Callbacks } from './callback.port.js';
import { HttpCallbacks } from './http-callbacks.js';

/** The operator's secret; on a development machine, the one that signs this host's tokens. */
function masterOf({ gateway, production, dataDir }: Settings): Uint8Array | null {
  if (gateway.callbackSecret !== null) return new TextEncoder().encode(gateway.callbackSecret);
  if (!production) return localSecret(dataDir);
  new Logger('Callbacks').warn('CALLBACK_SECRET is not set: tasks with a callback_url are refused.');
  return null;
}

@Module({
  providers: [
    {
      provide: CALLBACKS,
      useFactory: (settings: Settings, clock: Clock): Callbacks =>
        new HttpCallbacks({ master: masterOf(settings), userAgent: `Euglena/${packageVersion()}`, clock }),
      inject: [SETTINGS, CLOCK],
    },
  ],
  exports: [CALLBACKS],
})
export class CallbackModule implements OnApplicationShutdown {
  constructor(@Inject(CALLBACKS) private readonly callbacks: Callbacks) {}

  onApplicationShutdown(): Promise<void> {
    return this.callbacks.close();
  }
}
