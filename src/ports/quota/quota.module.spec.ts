import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type LoggerService } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { temporaryDataDir } from '../../../test/support/data-dir.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { SettingsModule } from '../../config/settings.module.js';
import { type Environment, InvalidSettings, readSettings } from '../../config/settings.js';
import { EmbeddedDatabaseHandle } from '../embedded/embedded-database.module.js';
import { QuotaModule } from './quota.module.js';
import { QUOTA, type Quota } from './quota.port.js';
import { SqliteQuota } from './sqlite-quota.js';
import { SupabaseQuota } from './supabase-quota.js';
import { UnlimitedQuota } from './unlimited-quota.js';

class Listener implements LoggerService {
  readonly warnings: string[] = [];
  log(): void {}
  error(): void {}
  warn(message: string): void {
    this.warnings.push(message);
  }
}

/** Opens the module on an empty data folder, and says what it warned of and whether it opened the database. */
async function withQuota(env: Environment, work: (quota: Quota) => Promise<void>) {
  const dataDir = temporaryDataDir();
  const listener = new Listener();
  const settings = readSettings({ EUGLENA_DATA_DIR: dataDir.path, ...env });
  const app = await Test.createTestingModule({
    imports: [SettingsModule.with(settings, new ManualClock()), QuotaModule],
  })
    .setLogger(listener)
    .compile();
  await work(app.get<Quota>(QUOTA));
  const opened = existsSync(join(dataDir.path, 'euglena.db'));
  await app.close();
  app.get(EmbeddedDatabaseHandle, { strict: false }).close();
  dataDir.remove();
  return { warnings: listener.warnings, opened };
}

describe('QuotaModule', () => {
  it('holds the daily limit of the settings', async () => {
    const { warnings, opened } = await withQuota({ DAILY_TICK_LIMIT: '10' }, async (quota) => {
      expect((await quota.reserve('alice', 'task-1', 11)).kind).toBe('exceeded');
      expect((await quota.reserve('alice', 'task-1', 10)).kind).toBe('reserved');
    });
    expect({ warnings, opened }).toEqual({ warnings: [], opened: true });
  });

  it('holds no limit in test mode, and says so at start', async () => {
    const { warnings, opened } = await withQuota({ GATEWAY_TEST_MODE: 'true' }, async (quota) => {
      expect(await quota.reserve('alice', 'task-1', 1_000)).toMatchObject({
        kind: 'reserved',
        ticks: 1_000,
        usage: { limit: 256, used: 0, remaining: 256 },
      });
      await quota.settle('task-1', 1_000);
      expect(await quota.unsettled(0, 10)).toEqual([]);
      expect(await quota.usage('alice')).toMatchObject({ used: 0 });
    });
    expect(warnings).toEqual([expect.stringContaining('GATEWAY_TEST_MODE')]);
    expect(opened).toBe(false);
  });

  it('refuses test mode in production', () => {
    const refused = () => readSettings({ GATEWAY_TEST_MODE: 'true', NODE_ENV: 'production' });
    expect(refused).toThrow(InvalidSettings);
    expect(refused).toThrow('GATEWAY_TEST_MODE: switches the quota off and is refused');
  });

  const PROJECT = { SUPABASE_URL: 'http://127.0.0.1:9', SUPABASE_API_KEY: 'key-of-the-service-role' };
  it.each<[string, Environment, new (...given: never[]) => Quota, boolean]>([
    ['nothing', {}, SqliteQuota, true],
    ['an address alone', { SUPABASE_URL: PROJECT.SUPABASE_URL }, SqliteQuota, true],
    ['an address and a key', PROJECT, SupabaseQuota, false],
    ['test mode beside them', { ...PROJECT, GATEWAY_TEST_MODE: 'true' }, UnlimitedQuota, false],
  ])('chooses by what is set: %s', async (_what, env, adapter, opensDatabase) => {
    const { opened } = await withQuota(env, async (quota) => {
      expect(quota).toBeInstanceOf(adapter);
    });
    expect(opened).toBe(opensDatabase);
  });

  it('refuses a key without an address, and does not repeat the key', () => {
    const refused = () => readSettings({ SUPABASE_API_KEY: PROJECT.SUPABASE_API_KEY });
    expect(refused).toThrow('SUPABASE_URL: needed by SUPABASE_API_KEY');
    expect(refused).not.toThrow(PROJECT.SUPABASE_API_KEY);
  });
});
