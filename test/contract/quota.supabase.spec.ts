import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { ManualClock } from '../support/manual-clock.js';
import { ANON_KEY } from '../support/servers/postgrest-server.js';
import { openPglite, type Query, type Row } from '../support/servers/supabase-database.js';
import { DAILY_LIMIT, quotaContract, type QuotaHarness } from './quota.contract.js';
import { supabaseFaults } from './quota.supabase.faults.js';
import { everyStepOf, openSupabase, type SupabaseStage } from './quota.supabase.harness.js';

const DAY_MS = 86_400_000;
const ALICE = '11111111-1111-4111-8111-111111111111';
const BOB = '22222222-2222-4222-8222-222222222222';
const NOON = Date.UTC(2026, 0, 15, 12);

/** Postgres in this process takes the time from this process, so the test turns its clock. Timers go on as ever. */
beforeAll(() => {
  jest.useFakeTimers({
    now: NOON,
    doNotFake: [
      'hrtime',
      'nextTick',
      'performance',
      'queueMicrotask',
      'setImmediate',
      'clearImmediate',
      'setInterval',
      'clearInterval',
      'setTimeout',
      'clearTimeout',
    ],
  });
});
afterAll(() => {
  jest.useRealTimers();
});

let stage: SupabaseStage;
beforeAll(async () => {
  stage = await openSupabase(await openPglite());
}, 120_000);
afterEach(() => stage.clear());
afterAll(() => stage.close());

const sql = (work: (query: Query) => Promise<Row[]>) => stage.database.transaction(work);
const pass = (ms: number) => void jest.setSystemTime(Date.now() + ms);
/** An adapter that waits as long as the test wants. */
const connect = (clock = new ManualClock()) => stage.connect({ clock });

async function open(): Promise<QuotaHarness> {
  return {
    quota: connect(),
    again: async () => connect(),
    now: () => Date.now(),
    elapse: async (ms) => pass(ms),
    close: async () => {},
  };
}

quotaContract('Supabase (PGlite)', open);

describe('the tick ledger of Supabase', () => {
  it('changes the day at UTC midnight to the millisecond', async () => {
    const midnight = Date.UTC(2026, 2, 1);
    jest.setSystemTime(midnight - 1);
    const quota = connect();
    await quota.reserve(ALICE, 'task-1', DAILY_LIMIT);
    expect(await quota.usage(ALICE)).toMatchObject({ remaining: 0, resetsAt: midnight });
    pass(1);
    expect(await quota.usage(ALICE)).toMatchObject({
      used: 0,
      remaining: DAILY_LIMIT,
      resetsAt: midnight + DAY_MS,
    });
  });

  it('settles a reservation of before midnight on its own day, and nothing on the next', async () => {
    jest.setSystemTime(Date.UTC(2026, 2, 1) - 1);
    const quota = connect();
    await quota.reserve(ALICE, 'task-1', 200);
    pass(1);
    await quota.reserve(ALICE, 'task-2', DAILY_LIMIT);
    await quota.settle('task-1', 20);
    expect(await quota.usage(ALICE)).toMatchObject({ used: DAILY_LIMIT });
    const days = `select to_char(day, 'YYYY-MM-DD') as day, sum(charge)::int as charge from tick_ledger group by 1`;
    expect(await sql((query) => query(`${days} order by 1`))).toEqual([
      { day: '2026-02-28', charge: 20 },
      { day: '2026-03-01', charge: DAILY_LIMIT },
    ]);
  });

  it('has nothing remaining, and not less, when the limit was lowered under what is used', async () => {
    await connect().reserve(ALICE, 'task-1', 200);
    const lowered = stage.connect({ clock: new ManualClock(), dailyLimit: 100 });
    expect(await lowered.usage(ALICE)).toMatchObject({ limit: 100, used: 200, remaining: 0 });
    expect(await lowered.reserve(ALICE, 'task-2', 1)).toMatchObject({ kind: 'exceeded' });
  });

  it('forgets settled tasks after 31 days, and never an open one', async () => {
    const quota = connect();
    const rows = () => sql((query) => query('select task_id from tick_ledger order by task_id'));
    await quota.reserve(ALICE, 'settled', 10);
    await quota.settle('settled', 5);
    await quota.reserve(ALICE, 'open', 10);
    pass(31 * DAY_MS);
    await quota.reserve(ALICE, 'after 31 days', 1);
    expect(await rows()).toHaveLength(3);
    pass(DAY_MS);
    await quota.reserve(ALICE, 'after 32 days', 1);
    expect((await rows()).map(({ task_id }) => task_id)).toEqual(['after 31 days', 'after 32 days', 'open']);
  });

  it('keeps for each task when it was reserved and settled, and by how much', async () => {
    const quota = connect();
    jest.setSystemTime(NOON);
    await quota.reserve(ALICE, 'task-1', 50);
    pass(1_000);
    await quota.settle('task-1', 7);
    const [row] = await sql((query) => query('select * from tick_ledger'));
    expect(row).toMatchObject({
      task_id: 'task-1',
      user_id: ALICE,
      reserved: 50,
      used: 7,
      charge: 7,
      reserved_at: new Date(NOON),
      settled_at: new Date(NOON + 1_000),
    });
  });

  it('tells settlements of one moment in one call', async () => {
    const quota = connect();
    const ids = Array.from({ length: 100 }, (_, n) => `task-${n}`);
    for (const id of ids.slice(0, 10)) await quota.reserve(ALICE, id, 5);
    const before = stage.server.called.length;
    await Promise.all(ids.map((id) => quota.settle(id, 2)));
    expect(stage.server.called.slice(before)).toEqual(['settle_ticks']);
    expect(await quota.usage(ALICE)).toMatchObject({ used: 20 });
  });

  it.each([
    ['no task', [null, ALICE, 1, 256]],
    ['no user', ['task', null, 1, 256]],
    ['no ticks', ['task', ALICE, null, 256]],
    ['ticks below 0', ['task', ALICE, -1, 256]],
    ['no limit', ['task', ALICE, 1, null]],
  ])('refuses a reservation with %s', async (_what, values) => {
    const reserving = sql((query) => query('select * from reserve_ticks($1, $2, $3, $4)', values));
    await expect(reserving).rejects.toThrow('reserve_ticks needs');
    expect(await sql((query) => query('select from tick_ledger'))).toEqual([]);
  });
});

describe('who may use the tick ledger', () => {
  /** As PostgREST does it: with this role, and the claims of this user's token. */
  const as = (role: string, subject: string | null, statement: string) =>
    sql(async (query) => {
      await query(`select set_config('request.jwt.claims', $1, true)`, [
        JSON.stringify({ sub: subject, role }),
      ]);
      await query(`set local role ${role}`);
      return query(statement);
    });

  it('users see their own rows only', async () => {
    const quota = connect();
    await quota.reserve(ALICE, 'task-1', 10);
    await quota.reserve(BOB, 'task-2', 20);
    const all = 'select task_id from tick_ledger order by task_id';
    expect(await as('authenticated', ALICE, all)).toEqual([{ task_id: 'task-1' }]);
    expect(await as('authenticated', BOB, all)).toEqual([{ task_id: 'task-2' }]);
    expect(await as('authenticated', null, all)).toEqual([]);
    expect(await as('service_role', null, all)).toHaveLength(2);
    await expect(as('anon', null, all)).rejects.toThrow('permission denied');
  });

  const WRITES = [
    `insert into tick_ledger (task_id, user_id, day, reserved, reserved_at) values ('mine', '${ALICE}', now(), 1, now())`,
    `update tick_ledger set used = 0, settled_at = now()`,
    `delete from tick_ledger`,
    `truncate tick_ledger`,
  ];
  const CALLS = [
    `select * from reserve_ticks('mine', '${ALICE}', 1, 1000000)`,
    `select settle_ticks('{task-1}', '{0}')`,
    `select * from tick_usage('${ALICE}')`,
    `select * from unsettled_ticks(0, 10)`,
  ];

  it.each(['anon', 'authenticated'])('%s neither writes nor calls its functions', async (role) => {
    await connect().reserve(ALICE, 'task-1', 10);
    for (const statement of [...WRITES, ...CALLS]) {
      await expect(as(role, ALICE, statement)).rejects.toThrow('permission denied');
    }
    expect(await connect().usage(ALICE)).toMatchObject({ used: 10 });
  });

  it('service_role calls its functions and does not write past them', async () => {
    for (const statement of CALLS) await as('service_role', null, statement);
    for (const statement of WRITES) {
      await expect(as('service_role', null, statement)).rejects.toThrow('permission denied');
    }
  });

  it('a key that is not the service role’s is refused, and the error names the setting and no key', async () => {
    for (const apiKey of [ANON_KEY, 'no-key-of-this-project']) {
      const quota = stage.connect({ apiKey });
      for (const step of everyStepOf(quota)) {
        const error: unknown = await step().catch((reason: unknown) => reason);
        expect(error).toMatchObject({
          code: 'engine_unavailable',
          message: expect.stringMatching(/^Supabase answered 401 to \w+: SUPABASE_API_KEY must be a key of/),
        });
        expect(inspect(error, { depth: null, showHidden: true })).not.toContain(apiKey);
      }
    }
  });
});

supabaseFaults(() => stage, pass);
