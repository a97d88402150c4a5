import { readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import { Redis } from 'ioredis';
import { eventually } from '../../support/eventually.js';
import { type EuglenaApi } from '../../support/euglena-api.js';
import { askedAgain, thinker, ticksOf } from '../../support/stage.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { type Engines, openEngines, STARTING_MS } from './engines.js';
import { fault } from './fault.js';
import { atStart } from './inside.js';

const LEASE_MS = 3_000;

let engines: Engines;
let proxy: TcpProxy;
let redis: Redis;
let api: EuglenaApi;

beforeAll(async () => {
  engines = await openEngines();
  proxy = await startTcpProxy(engines.redis.url);
  redis = new Redis(engines.redis.url);
  redis.on('error', () => undefined);
}, STARTING_MS);
afterAll(async () => {
  redis.disconnect();
  await proxy.close();
  await engines.close();
}, STARTING_MS);
beforeEach(async () => {
  api = await engines.newUser();
});
afterEach(async () => {
  proxy.heal();
  await engines.endOthers();
});

const asked = (mandate: string) => engines.stage.questions.filter((question) => question.mandate === mandate);
const tickAsked = (mandate: string, tick: number) =>
  eventually(
    `tick ${tick} is asked`,
    () => asked(mandate).some((question) => question.tick === tick),
    30_000,
  );
const statusOf = async (path: string) => {
  const { status, headers } = await api.request(path);
  return { status, retryAfter: Number(headers.get('retry-after')) };
};
const post = async (mandate: string) => {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ mandate, max_ticks: 5 }),
  };
  const { status, headers } = await api.request('/tasks', init);
  return { status, retryAfter: Number(headers.get('retry-after')) };
};
const isReady = async () => (await statusOf('/health/ready')).status === 200;
const isNotReady = async () => (await statusOf('/health/ready')).status === 503;

/** Audits tasks of `ticks` ticks: no tick was asked about again that a journal had. */
async function audited(ids: readonly string[], ticks: number): Promise<void> {
  await engines.audit({ api, ids });
  for (const id of ids) {
    const [task, journal] = await Promise.all([api.task(id), api.journal(id)]);
    expect(task).toMatchObject({ status: 'completed', usage: { ticks } });
    expect(askedAgain(engines.stage.questions, task.mandate, journal)).toEqual([]);
  }
}

const endsOf = (ids: readonly string[]) => Promise.all(ids.map((id) => redis.zscore('tasks:finished', id)));

/** The hashes of a journal as it is stored. */
async function storedJournal(id: string): Promise<string[]> {
  const rows = await redis.xrange(`task:${id}:journal`, '-', '+');
  return rows.map(([, [, json = '']]) => (JSON.parse(json) as { hash: string }).hash);
}

/** Where Redis keeps what it was told. */
async function appendOnlyFolder(): Promise<string> {
  const [, dir = ''] = await redis.config('GET', 'dir');
  return join(dir, 'appendonlydir');
}

fault(
  'F35',
  'Redis crashes without having saved its last second (append-only file, everysec)',
  'the agent stores with its next step what was lost: no tick is lost, none is asked about or charged again',
  async () => {
    engines.say(thinker(5, 300));
    const agent = await engines.start('agent');
    const { id } = await api.submit('F35');
    const folder = await appendOnlyFolder();
    const [name = ''] = readdirSync(folder).filter((file) => file.endsWith('.incr.aof'));
    await tickAsked('F35', 3);
    const saved = statSync(join(folder, name)).size;
    await tickAsked('F35', 5);
    const before = await storedJournal(id);
    // Asleep, so that it stores nothing again before the loss has been seen.
    agent.signal('SIGSTOP');
    await engines.redis.kill();
    truncateSync(join(folder, name), saved);
    await engines.redis.restart();
    expect((await storedJournal(id)).length).toBeLessThan(before.length);
    agent.signal('SIGCONT');
    await audited([id], 5);
    expect((await storedJournal(id)).slice(0, before.length)).toEqual(before);
    expect(asked('F35')).toHaveLength(5);
  },
);

fault(
  'F36',
  'Redis comes back empty',
  'a running task is stored again by its agent, a waiting one is made from its message; one that had ended is a 404',
  async () => {
    engines.say((question) => thinker(question.mandate === 'running' ? 4 : 1, 400)(question));
    const other = await engines.newUser();
    const { id: ended } = await other.submit('ended');
    await engines.start('agent');
    await engines.audit({ api: other, ids: [ended] });
    const { id: running } = await api.submit('running');
    await tickAsked('running', 3);
    const { id: waiting } = await api.submit('waiting');
    await eventually('both are queued', async () => (await redis.hlen('tasks:outbox:body')) === 0);
    const before = await storedJournal(running);
    const folder = await appendOnlyFolder();
    await engines.redis.kill();
    rmSync(folder, { recursive: true });
    await engines.redis.restart();
    await engines.audit({ api, ids: [running, waiting] });
    expect((await storedJournal(running)).slice(0, before.length)).toEqual(before);
    expect(ticksOf(await api.journal(running))).toEqual([1, 2, 3, 4]);
    expect((await other.request(`/tasks/${ended}`)).status).toBe(404);
  },
);

fault(
  'F37',
  'Redis is away for longer than a lease',
  'POST and GET answer 503 with Retry-After, nobody is ready; then the task goes on, no tick is lost or doubled',
  async () => {
    engines.say(thinker(4, 300));
    const agent = await engines.start('agent');
    const { id } = await api.submit('F37');
    await tickAsked('F37', 2);
    await engines.redis.kill();
    const gone = performance.now();
    const refused = { status: 503, retryAfter: expect.any(Number) };
    expect([await post('refused'), await statusOf(`/tasks/${id}`)]).toEqual([refused, refused]);
    expect((await post('refused')).retryAfter).toBeGreaterThan(0);
    await eventually('the gateway is not ready', isNotReady);
    const ofAgent = async () => (await fetch(`${agent.url}/health/ready`)).status;
    await eventually('the agent is not ready', async () => (await ofAgent()) === 503);
    expect(await api.agents()).toBe(0);
    await eventually('the lease has run out', () => performance.now() - gone > LEASE_MS);
    await engines.redis.restart();
    await audited([id], 4);
    await eventually('the gateway is ready', isReady);
    await eventually('the agent is ready', async () => (await ofAgent()) === 200);
  },
);

fault(
  'F38',
  'Redis takes 500 ms for every answer',
  'POST takes less than 3 s, tasks go on, and no lease runs out',
  async () => {
    engines.say(thinker(2, 200));
    const env = { REDIS_URL: proxy.url };
    const gateway = await engines.start('gateway', env);
    await engines.start('agent', { ...env, AGENT_CONCURRENCY: '8' });
    const slow = await engines.newUser(gateway);
    proxy.delay(500);
    const times: number[] = [];
    const submit = async (n: number) => {
      const start = performance.now();
      const { id } = await slow.submit(`F38 ${n}`);
      times.push(performance.now() - start);
      return id;
    };
    const ids = await Promise.all(Array.from({ length: 16 }, (_, n) => submit(n)));
    expect(Math.max(...times)).toBeLessThan(3_000);
    await eventually('they end', async () => !(await endsOf(ids)).includes(null), 30_000);
    proxy.heal();
    await engines.audit({ api: slow, ids });
    const accepted = async (id: string) =>
      (await slow.journal(id)).filter(({ type }) => type === 'accepted').length;
    expect(await Promise.all(ids.map(accepted))).toEqual(ids.map(() => 1));
  },
);

for (const [what, begin, end] of [
  [
    'Redis is out of memory',
    () => redis.config('SET', 'maxmemory', '1'),
    () => redis.config('SET', 'maxmemory', '0'),
  ],
  [
    'Redis is a read-only replica after a failover',
    () => redis.replicaof('127.0.0.1', 1),
    () => redis.replicaof('NO', 'ONE'),
  ],
] as const) {
  fault(
    'F39',
    what,
    'as if it were away: POST answers 503, not ready; nothing is evicted, and afterwards the work goes on',
    async () => {
      engines.say(thinker(3, 300));
      await engines.start('agent');
      const { id } = await api.submit(what);
      await tickAsked(what, 2);
      await begin();
      try {
        expect((await post('refused')).status).toBe(503);
        await eventually('not ready', isNotReady);
      } finally {
        await end();
      }
      await audited([id], 3);
    },
  );
}

fault(
  'F62',
  'the clock of one agent is 120 s ahead, that of another 120 s behind',
  'leases run by the time of Redis: nobody takes a task from another, and one that was killed is replaced in time',
  async () => {
    const skewed = (ms: number) => atStart(`const now = Date.now; Date.now = () => now() + ${ms};`);
    engines.say((question) =>
      question.mandate === 'long' && question.tick === 2 && question.times === 1
        ? 'hang'
        : thinker(2, 500)(question),
    );
    const ahead = await engines.start('agent', skewed(120_000));
    const { id: long } = await api.submit('long');
    await tickAsked('long', 2);
    await engines.start('agent', skewed(-120_000));
    const ids = await api.submitAll(['short 1', 'short 2', 'short 3']);
    await eventually('the short ones end', async () => !(await endsOf(ids)).includes(null));
    // A second message for the task that is in hand: its lease has been renewed a few times by now.
    const { mandate, max_ticks } = await api.task(long);
    await engines.publish({ mandate, max_ticks, correlation_id: long });
    expect(asked('long').map(({ tick }) => tick)).toEqual([1, 2]);
    await ahead.kill('SIGKILL');
    await engines.audit({ api, ids: [long, ...ids] });
    // Counted, not timed: the entries of these agents tell of other times than the model's.
    const ticksAsked = (mandate: string) => asked(mandate).map(({ tick }) => tick);
    expect(ticksAsked('long')).toEqual([1, 2, 2]);
    for (const mandate of ['short 1', 'short 2', 'short 3']) expect(ticksAsked(mandate)).toEqual([1, 2]);
  },
);

fault(
  'F35',
  'Redis is restarted with 1,000 tasks queued',
  'all of them end, each once and charged once',
  async () => {
    engines.say(thinker(1));
    const ids: string[] = [];
    while (ids.length < 1_000) {
      const mandates = Array.from({ length: 100 }, (_, n) => `one of many ${ids.length + n}`);
      ids.push(...(await api.submitAll(mandates)));
    }
    await engines.redis.restart();
    const start = () => engines.start('agent', { AGENT_CONCURRENCY: '16' });
    await Promise.all([start(), start()]);
    await engines.audit({ api, ids, timeoutMs: 90_000 });
  },
  120_000,
);
