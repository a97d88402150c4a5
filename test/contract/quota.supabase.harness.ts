import { systemClock } from '../../src/config/system-clock.js';
import { type Clock } from '../../src/domain/clock.js';
import { SupabaseQuota } from '../../src/ports/quota/supabase-quota.js';
import { type PostgrestServer, SERVICE_KEY, startPostgrest } from '../support/servers/postgrest-server.js';
import { type SupabaseDatabase } from '../support/servers/supabase-database.js';
import { DAILY_LIMIT } from './quota.contract.js';

const USER = '11111111-1111-4111-8111-111111111111';

/** A Supabase project for a whole test file. */
export interface SupabaseStage {
  readonly database: SupabaseDatabase;
  readonly server: PostgrestServer;
  /** Empties the ledger and makes the server behave. */
  clear(): Promise<void>;
  /** Another instance of the adapter; all of them are closed by {@link clear} and {@link close}. */
  connect(given?: { apiKey?: string; clock?: Clock; dailyLimit?: number }): SupabaseQuota;
  close(): Promise<void>;
}

export async function openSupabase(database: SupabaseDatabase): Promise<SupabaseStage> {
  const server = await startPostgrest(database);
  const quotas: SupabaseQuota[] = [];
  const closeAll = async () => {
    await Promise.all(quotas.splice(0).map((quota) => quota.close()));
  };
  return {
    database,
    server,
    clear: async () => {
      await closeAll();
      server.treat(null);
      await database.transaction((query) => query('truncate public.tick_ledger'));
    },
    connect: ({ apiKey = SERVICE_KEY, clock = systemClock, dailyLimit = DAILY_LIMIT } = {}) => {
      const quota = new SupabaseQuota({ url: server.url, apiKey }, clock, dailyLimit);
      quotas.push(quota);
      return quota;
    },
    close: async () => {
      await closeAll();
      await server.stop();
      await database.close();
    },
  };
}

/** Every method of the port that asks the project. */
export const everyStepOf = (quota: SupabaseQuota) => [
  () => quota.reserve(USER, 'task-1', 1),
  () => quota.settle('task-1', 1),
  () => quota.usage(USER),
  () => quota.unsettled(0, 10),
  () => quota.ping(),
];
