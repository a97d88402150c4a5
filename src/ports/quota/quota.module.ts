import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import {
  EmbeddedDatabaseModule,
  OPEN_EMBEDDED,
  type OpenEmbedded,
} from '../embedded/embedded-database.module.js';
import { QUOTA, type Quota } from './quota.port.js';
import { SqliteQuota } from './sqlite-quota.js';
import { UnlimitedQuota } from './unlimited-quota.js';

@Module({
  imports: [EmbeddedDatabaseModule],
  providers: [
    {
      provide: QUOTA,
      useFactory: ({ gateway }: Settings, open: OpenEmbedded, clock: Clock): Quota =>
        gateway.testMode
          ? new UnlimitedQuota(clock, gateway.dailyTickLimit)
          : new SqliteQuota(open(), clock, gateway.dailyTickLimit),
      inject: [SETTINGS, OPEN_EMBEDDED, CLOCK],
    },
  ],
  exports: [QUOTA],
})
export class QuotaModule implements OnApplicationShutdown {
  constructor(@Inject(QUOTA) private readonly quota: Quota) {}

  onApplicationShutdown(): Promise<void> {
    return this.quota.close();
  }
}
