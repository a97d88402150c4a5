import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../support/manual-clock.js';
import { openPostgres } from '../support/servers/supabase-database.js';
import { DAILY_LIMIT, quotaContract, type QuotaHarness } from './quota.contract.js';
import { openSupabase, type SupabaseStage } from './quota.supabase.harness.js';

/** A Postgres server runs transactions at the same time, which PGlite does not. */
let stage: SupabaseStage;
beforeAll(async () => {
  stage = await openSupabase(await openPostgres());
}, 120_000);
afterEach(() => stage.clear());
afterAll(() => stage.close());

/** This server tells the time itself: the ledger moves back in its place. */
const MOVE_BACK = `
  with past as (select task_id, reserved_at - $1 * interval '1 millisecond' as at from public.tick_ledger)
  update public.tick_ledger l
    set reserved_at = past.at, day = (past.at at time zone 'UTC')::date,
      settled_at = l.settled_at - $1 * interval '1 millisecond'
    from past where l.task_id = past.task_id`;

async function open(): Promise<QuotaHarness> {
  // No time limit of the adapter's: how fast a busy machine is does not matter here.
  const clock = new ManualClock();
  return {
    quota: stage.connect({ clock }),
    again: async () => stage.connect({ clock }),
    now: () => Date.now(),
    elapse: async (ms) => {
      await stage.database.transaction((query) => query(MOVE_BACK, [ms]));
    },
    close: async () => {},
  };
}

quotaContract('Supabase (a Postgres server)', open);

const userOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

// Not portable: transactions that really run at once.
describe('the tick ledger under concurrency', () => {
  it('gives the last tick to one of 200, fifty times', async () => {
    const reserve = (user: string, task: string, ticks: number) =>
      stage.database.transaction(async (query) => {
        const [row] = await query('select * from reserve_ticks($1, $2, $3, $4)', [
          task,
          user,
          ticks,
          DAILY_LIMIT,
        ]);
        return row?.granted as boolean;
      });
    for (let round = 0; round < 50; round += 1) {
      const user = userOf(round);
      await reserve(user, `before-${round}`, DAILY_LIMIT - 1);
      const wishes = Array.from({ length: 200 }, (_, n) => reserve(user, `${round}-${n}`, 1));
      expect((await Promise.all(wishes)).filter((granted) => granted)).toHaveLength(1);
    }
    const days = 'select user_id from tick_ledger group by user_id having sum(charge) = $1';
    expect(await stage.database.transaction((query) => query(days, [DAILY_LIMIT]))).toHaveLength(50);
  }, 120_000);

  it('never goes over the limit while tasks are settled and reserved anew', async () => {
    const quota = stage.connect({ clock: new ManualClock() });
    const user = userOf(1);
    const live = async (n: number) => {
      for (let round = 0; round < 10; round += 1) {
        const wish = await quota.reserve(user, `task-${n}`, 50);
        expect(wish.usage.used).toBeLessThanOrEqual(DAILY_LIMIT);
        if (wish.kind === 'reserved') await quota.settle(`task-${n}`, round % 3);
      }
    };
    await Promise.all(Array.from({ length: 20 }, (_, n) => live(n)));
    const rows = await stage.database.transaction((query) => query('select reserved, used from tick_ledger'));
    const sum = rows.reduce((total, { used }) => total + Number(used), 0);
    expect(await quota.usage(user)).toMatchObject({ used: sum });
    expect(await quota.unsettled(0, 100)).toEqual([]);
  }, 60_000);

  it('settles overlapping batches in any order without a deadlock', async () => {
    const ids = Array.from({ length: 100 }, (_, n) => `task-${n}`);
    const quotas = Array.from({ length: 10 }, () => stage.connect({ clock: new ManualClock() }));
    for (const [n, id] of ids.entries()) await quotas[0]?.reserve(userOf(n), id, 10);
    const before = stage.server.called.length;
    const batches = quotas.map((quota, n) => {
      const order = n % 2 ? ids : [...ids].reverse();
      return Promise.all(order.map((id) => quota.settle(id, 4)));
    });
    await Promise.all(batches);
    expect(stage.server.called.slice(before)).toEqual(Array(10).fill('settle_ticks'));
    const [row] = await stage.database.transaction((query) => query('select sum(charge) from tick_ledger'));
    expect(Number(row?.sum)).toBe(400);
  });

  it('lets no user wait for another: a reservation goes through while one of another user is not committed', async () => {
    const quota = stage.connect();
    await stage.database.transaction(async (query) => {
      await query('select * from reserve_ticks($1, $2, 10, 256)', ['held', userOf(1)]);
      expect((await quota.reserve(userOf(2), 'free', 10)).kind).toBe('reserved');
    });
  });

  it('gives up after two seconds behind a reservation of the same user that does not end', async () => {
    const quota = stage.connect({ clock: new ManualClock() });
    await stage.database.transaction(async (query) => {
      await query('select * from reserve_ticks($1, $2, 10, 256)', ['held', userOf(1)]);
      await expect(quota.reserve(userOf(1), 'next', 10)).rejects.toMatchObject({
        code: 'engine_unavailable',
        message: 'Supabase answered 500 to reserve_ticks (55P03).',
      });
    });
    expect(await quota.usage(userOf(1))).toMatchObject({ used: 10 });
  });

  it('refuses a transaction that could not see what others committed', async () => {
    const stale = stage.database.transaction(async (query) => {
      await query('set transaction isolation level repeatable read');
      await query('select * from reserve_ticks($1, $2, 10, 256)', ['task', userOf(1)]);
    });
    await expect(stale).rejects.toThrow('read committed');
  });
});
