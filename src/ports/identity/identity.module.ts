import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import { AUTHENTICATED } from './access-token.js';
import { Hs256Identity } from './hs256-identity.js';
import { IDENTITY, type Identity } from './identity.port.js';
import { LOCAL_ISSUER, localSecret } from './local-secret.js';

/** The key and the issuer of the tokens that are good here: the Supabase project's, else this host's own. */
function trust({ supabase, dataDir }: Settings): { secret: Uint8Array; issuer: string | null } {
  if (supabase.jwtSecret === null) return { secret: localSecret(dataDir), issuer: LOCAL_ISSUER };
  const issuer = supabase.url === null ? null : `${supabase.url.replace(/\/+$/, '')}/auth/v1`;
  return { secret: new TextEncoder().encode(supabase.jwtSecret), issuer };
}

@Module({
  providers: [
    {
      provide: IDENTITY,
      useFactory: (settings: Settings, clock: Clock): Identity =>
        new Hs256Identity({ ...trust(settings), audience: AUTHENTICATED, clock, allowAnonymous: false }),
      inject: [SETTINGS, CLOCK],
    },
  ],
  exports: [IDENTITY],
})
export class IdentityModule implements OnApplicationShutdown {
  constructor(@Inject(IDENTITY) private readonly identity: Identity) {}

  onApplicationShutdown(): Promise<void> {
    return this.identity.close();
  }
}
