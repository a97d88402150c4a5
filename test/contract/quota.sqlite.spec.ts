import { describe, expect, it } from '@jest/globals';
import { EmbeddedDatabase } from '../../src/ports/embedded/embedded-database.js';
import { SqliteQuota } from '../../src/ports/quota/sqlite-quota.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { ManualClock } from '../support/manual-clock.js';
import { DAILY_LIMIT, quotaContract, type QuotaHarness } from './quota.contract.js';

const DAY_MS = 86_400_000;

/** Every instance has its own connection to the file, as another process would. */
function openAt(clock: ManualClock, dailyLimit = DAILY_LIMIT, storedWithTasks = false) {
  const dataDir = temporaryDataDir();
  const databases: EmbeddedDatabase[] = [];
  const connect = () => {
    const database = EmbeddedDatabase.open(dataDir.path);
    databases.push(database);
    return database;
  };
  const again = async (limit = dailyLimit) => new SqliteQuota(connect(), clock, limit, storedWithTasks);
  return {
    quota: new SqliteQuota(connect(), clock, dailyLimit, storedWithTasks),
    again,
    rows: () => connect().get<{ n: number }>('SELECT count(*) AS n FROM quota_ledger')?.n,
    close: async () => {
      databases.forEach((database) => database.close());
      dataDir.remove();
    },
  };
}

async function open(storedWithTasks: boolean): Promise<QuotaHarness> {
  const clock = new ManualClock();
  const { quota, again, close } = openAt(clock, DAILY_LIMIT, storedWithTasks);
  return {
    quota,
    again: () => again(),
    now: () => clock.now(),
    elapse: async (ms) => clock.advance(ms),
    close,
  };
}

quotaContract('SQLite', () => open(false));
quotaContract('SQLite, in the database of the tasks', () => open(true));

describe('quota on SQLite, beyond the contract', () => {
  // Not portable: the instant is the test's to choose.
  it('changes the day at UTC midnight to the millisecond', async () => {
    const clock = new ManualClock(Date.UTC(2026, 1, 28, 23, 59, 59, 999));
    const { quota, close } = openAt(clock);
    const midnight = Date.UTC(2026, 2, 1);
    await quota.reserve('alice', 'task-1', DAILY_LIMIT);
    expect(await quota.usage('alice')).toMatchObject({ remaining: 0, resetsAt: midnight });
    clock.advance(1);
    expect(await quota.usage('alice')).toMatchObject({
      used: 0,
      remaining: DAILY_LIMIT,
      resetsAt: midnight + DAY_MS,
    });
    await close();
  });

  // Not portable: an engine that holds the limit itself changes it otherwise.
  it('has nothing remaining, and not less, when the limit was lowered under what is used', async () => {
    const { quota, again, close } = openAt(new ManualClock());
    await quota.reserve('alice', 'task-1', 200);
    const lowered = await again(100);
    expect(await lowered.usage('alice')).toMatchObject({ limit: 100, used: 200, remaining: 0 });
    expect(await lowered.reserve('alice', 'task-2', 1)).toMatchObject({ kind: 'exceeded' });
    await close();
  });

  // Not portable: other engines may clean up otherwise.
  it('forgets settled tasks after 31 days, and never an open one', async () => {
    const clock = new ManualClock();
    const { quota, rows, close } = openAt(clock);
    await quota.reserve('alice', 'settled', 10);
    await quota.settle('settled', 5);
    await quota.reserve('alice', 'open', 10);
    clock.advance(31 * DAY_MS);
    await quota.reserve('alice', 'after 31 days', 1);
    expect(rows()).toBe(3);
    clock.advance(DAY_MS);
    await quota.reserve('alice', 'after 32 days', 1);
    expect(rows()).toBe(3);
    expect((await quota.unsettled(0, 10)).map(({ correlationId }) => correlationId)).toContain('open');
    await close();
  });

  // Not portable: takes the engine away from under a living instance.
  it('says that the engine is unavailable when the data folder is closed', async () => {
    const { quota, close } = openAt(new ManualClock());
    await close();
    const refusal = { name: 'EuglenaError', code: 'engine_unavailable' };
    await expect(quota.reserve('alice', 'task-1', 1)).rejects.toMatchObject(refusal);
    await expect(quota.settle('task-1', 1)).rejects.toMatchObject(refusal);
    await expect(quota.usage('alice')).rejects.toMatchObject(refusal);
    await expect(quota.ping()).rejects.toMatchObject(refusal);
  });
});
