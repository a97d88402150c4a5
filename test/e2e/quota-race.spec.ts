import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import { EmbeddedDatabase } from '../../src/ports/embedded/embedded-database.js';
import { EuglenaApi } from '../support/euglena-api.js';
import { type EuglenaProcess } from '../support/euglena-process.js';
import { eventually } from '../support/eventually.js';
import {
  failure,
  type PostgrestServer,
  SERVICE_KEY,
  startPostgrest,
} from '../support/servers/postgrest-server.js';
import { openPostgres, type SupabaseDatabase } from '../support/servers/supabase-database.js';
import { openStage, type Stage, thinker } from '../support/stage.js';

const STARTING_MS = 120_000;
const DAY_MS = 86_400_000;
const JWT_SECRET = 'the-secret-with-which-the-test-project-signs';

interface Ledger {
  readonly tasks: number;
  readonly charged: number;
}

/** The engine that keeps the quota of the stage. */
interface Setting {
  readonly env: Readonly<Record<string, string>>;
  readonly api: (gateway: EuglenaProcess, subject: string) => Promise<EuglenaApi>;
  /** What is in the ledger itself, whatever the gateway says. */
  readonly ledger: () => Promise<Ledger>;
}

let stage: Stage;
let database: SupabaseDatabase;
let project: PostgrestServer;
beforeAll(async () => {
  database = await openPostgres();
  project = await startPostgrest(database);
}, STARTING_MS);
afterAll(async () => {
  await project.stop();
  await database.close();
});
afterEach(() => stage.close());

async function onSqlite(): Promise<Setting> {
  stage = await openStage(thinker(2));
  const { dataDir, api } = stage;
  return {
    env: {},
    api,
    ledger: async () => {
      const file = EmbeddedDatabase.open(dataDir);
      const sql = 'SELECT count(*) AS tasks, sum(coalesce(settled, reserved)) AS charged FROM quota_ledger';
      const row = file.get<{ tasks: number; charged: number | null }>(sql);
      file.close();
      return { tasks: row?.tasks ?? 0, charged: row?.charged ?? 0 };
    },
  };
}

async function onSupabase(): Promise<Setting> {
  stage = await openStage(thinker(2));
  project.treat(null);
  await database.transaction((query) => query('truncate tick_ledger'));
  return {
    env: {
      SUPABASE_URL: project.url,
      SUPABASE_API_KEY: SERVICE_KEY,
      SUPABASE_JWT_SECRET: JWT_SECRET,
      SUPABASE_ALLOW_UNCONFIRMED: 'true',
    },
    api: async ({ url }, subject) => new EuglenaApi(url, await supabaseToken(subject)),
    ledger: async () => {
      const sql = 'select count(*)::int as tasks, coalesce(sum(charge), 0)::int as charged from tick_ledger';
      const [row] = await database.transaction((query) => query(sql));
      return row as unknown as Ledger;
    },
  };
}

function supabaseToken(subject: string): Promise<string> {
  return new SignJWT({ role: 'authenticated', session_id: randomUUID(), is_anonymous: false })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuer(`${project.url}/auth/v1`)
    .setAudience('authenticated')
    .setSubject(subject)
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(JWT_SECRET));
}

interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function submit(api: EuglenaApi, maxTicks: number, key?: string): Promise<Answered> {
  const headers = {
    'content-type': 'application/json',
    ...(key === undefined ? {} : { 'idempotency-key': key }),
  };
  const body = JSON.stringify({ mandate: 'Find X', max_ticks: maxTicks });
  const response = await api.request('/tasks', { method: 'POST', headers, body });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Answered['body'],
  };
}

/** As a client does that is told 503 by a busy machine: the same again, under the same key. */
async function insist(api: EuglenaApi, maxTicks: number): Promise<Answered> {
  const key = randomUUID();
  for (;;) {
    const answered = await submit(api, maxTicks, key);
    if (answered.status !== 503) return answered;
  }
}

const together = <T>(count: number, work: (n: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, n) => work(n)));

const countOf = (answers: readonly Answered[], status: number) =>
  answers.filter((answer) => answer.status === status).length;

const tasksOf = async (api: EuglenaApi) =>
  ((await (await api.request('/tasks')).json()) as { tasks: unknown[] }).tasks;

describe.each([
  ['SQLite', onSqlite, 50],
  ['Supabase', onSupabase, 10],
])('the daily quota on %s', (_engine, open, rounds) => {
  it('takes 5 of 200 submissions of 50 ticks at once, refuses 195, and gets the unused ticks back', async () => {
    const setting = await open();
    const gateway = await stage.start('gateway', { ...setting.env, DAILY_TICK_LIMIT: '256' });
    const api = await setting.api(gateway, randomUUID());

    const answers = await together(200, () => insist(api, 50));
    expect([countOf(answers, 202), countOf(answers, 429)]).toEqual([5, 195]);
    const midnight = Math.ceil(Date.now() / DAY_MS) * DAY_MS;
    for (const { headers, body } of answers.filter(({ status }) => status === 429)) {
      const untilMidnight = (midnight - Date.now()) / 1_000;
      expect(Math.abs(Number(headers.get('retry-after')) - untilMidnight)).toBeLessThan(60);
      expect(body).toMatchObject({
        code: 'quota_exceeded',
        quota: { limit: 256, used: 250, remaining: 6, resets_at: new Date(midnight).toISOString() },
      });
    }
    expect(await setting.ledger()).toEqual({ tasks: 5, charged: 250 });
    expect(await tasksOf(api)).toHaveLength(5);
    expect(stage.leftToDo()).toMatchObject({ messages: 5 });

    await stage.start('agent', { AGENT_CONCURRENCY: '5' });
    await eventually('the unused ticks are back', async () => (await api.quotaUsed()) === 10);
    expect(await setting.ledger()).toEqual({ tasks: 5, charged: 10 });
    expect(countOf(await together(20, () => insist(api, 50)), 202)).toBe(4);
  }, 120_000);

  it(`gives the last tick to one of 200 at once, ${rounds} times`, async () => {
    const setting = await open();
    const gateway = await stage.start('gateway', { ...setting.env, DAILY_TICK_LIMIT: '1' });
    for (let round = 1; round <= rounds; round += 1) {
      const api = await setting.api(gateway, randomUUID());
      const answers = await together(200, () => insist(api, 1));
      expect([round, countOf(answers, 202), countOf(answers, 429)]).toEqual([round, 1, 199]);
    }
    expect(await setting.ledger()).toEqual({ tasks: rounds, charged: rounds });
    expect(stage.leftToDo()).toMatchObject({ messages: rounds });
  }, 240_000);

  it('takes the submissions of 200 users at once', async () => {
    const setting = await open();
    const gateway = await stage.start('gateway', { ...setting.env, DAILY_TICK_LIMIT: '1' });
    const users = await together(200, () => setting.api(gateway, randomUUID()));
    const answers = await together(200, (n) => insist(users[n] as EuglenaApi, 1));
    expect(countOf(answers, 202)).toBe(200);
    expect(await setting.ledger()).toEqual({ tasks: 200, charged: 200 });
  }, 120_000);
});

describe('a gateway whose Supabase project does not serve', () => {
  async function running() {
    const setting = await onSupabase();
    const gateway = await stage.start('gateway', setting.env);
    return { ...setting, gateway, api: await setting.api(gateway, randomUUID()) };
  }

  /** The answer to a submission is 503, in time, in our words; how long it took. */
  async function refused(api: EuglenaApi): Promise<number> {
    const begun = performance.now();
    const { status, headers, body } = await submit(api, 50);
    const took = performance.now() - begun;
    expect({ status, code: body.code }).toEqual({ status: 503, code: 'engine_unavailable' });
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(JSON.stringify(body)).not.toMatch(/supabase|postgres|vendor/i);
    return took;
  }

  const nothingIsLeft = async (api: EuglenaApi) => {
    expect(await tasksOf(api)).toEqual([]);
    expect(stage.leftToDo()).toEqual({ messages: 0, dead: 0, outbox: 0, settlements: 0 });
  };

  it('because nothing listens: 503, nothing stored, queued or consumed, and the log holds no key', async () => {
    const { gateway, api, ledger } = await running();
    await project.stop();
    await refused(api);
    const health = (await (await api.request('/health')).json()) as Record<string, unknown>;
    expect(health).toMatchObject({ status: 'error', components: { quota: { status: 'down' } } });
    await nothingIsLeft(api);
    await project.start();
    expect(await ledger()).toEqual({ tasks: 0, charged: 0 });
    expect((await submit(api, 50)).status).toBe(202);
    expect(gateway.output()).toContain('Supabase cannot be reached (ECONNREFUSED)');
    expect(gateway.output()).not.toContain(SERVICE_KEY);
  }, 60_000);

  it('because it fails: 503, nothing stored, queued or consumed', async () => {
    const { api, ledger } = await running();
    project.treat(async () => failure(503, 'PGRST001', 'vendor'));
    await refused(api);
    await nothingIsLeft(api);
    expect(await ledger()).toEqual({ tasks: 0, charged: 0 });
  }, 60_000);

  it('because it hangs: 503 within 3.5 s, nothing stored, queued or consumed', async () => {
    const { api, ledger } = await running();
    project.treat(() => new Promise(() => undefined));
    expect(await refused(api)).toBeLessThan(3_500);
    await nothingIsLeft(api);
    expect(await ledger()).toEqual({ tasks: 0, charged: 0 });
  }, 60_000);

  it('after it had committed: 503, and the gateway finds the ticks and gives them back', async () => {
    const { api, ledger } = await running();
    project.treat(async (call) => {
      const told = await call.run();
      return call.name === 'reserve_ticks' ? 'drop' : told;
    });
    await refused(api);
    await nothingIsLeft(api);
    expect(await ledger()).toEqual({ tasks: 1, charged: 50 });
    const later = `update tick_ledger set reserved_at = reserved_at - interval '61 seconds'`;
    await database.transaction((query) => query(later));
    await eventually('the ticks are back', async () => (await api.quotaUsed()) === 0, 30_000);
  }, 60_000);
});
