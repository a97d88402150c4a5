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

/** `GATEWAY_TEST_MODE` wins over a project, and a project with a key over the data folder. */
async function openQuota(
  { gateway: { testMode, dailyTickLimit }, supabase: { url, apiKey }, redisUrl }: Settings,
  open: OpenEmbedded,
  clock: Clock,
): Promise<Quota> {
  if (testMode) return new UnlimitedQuota(clock, dailyTickLimit);
  if (url === null || apiKey === null)
    return new SqliteQuota(open(), clock, dailyTickLimit, redisUrl === null);
  // Its client takes 10 MB of memory: loaded only where it is used.
  const { SupabaseQuota } = await import('./supabase-quota.js');
  return new SupabaseQuota({ url, apiKey }, clock, dailyTickLimit);
}

@Module({
  imports: [EmbeddedDatabaseModule],
  providers: [
    {
      provide: QUOTA,
      useFactory: openQuota,
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
