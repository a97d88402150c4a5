import { readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import { Redis } from 'ioredis';
import { eventually } from '../../support/eventually.js';
import { type RabbitMqServer, startRabbitMq } from '../../support/servers/rabbitmq-server.js';
import { type PrivateRedisServer, startPrivateRedis } from '../../support/servers/redis-server.js';
import { askedAgain, thinker, ticksOf } from '../../support/stage.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { type EngineStage, openEngineStage, workersOf } from './engine-stage.js';
import { fault } from './fault.js';

const STARTING_MS = 120_000;
const COMES_BACK_MS = 30_000;

let rabbitmq: RabbitMqServer;
let redis: PrivateRedisServer;
/** Everybody's way to Redis. */
let proxy: TcpProxy;
/** The test's own way. */
let client: Redis;
let faults: EngineStage;

beforeAll(async () => {
  [rabbitmq, redis] = await Promise.all([startRabbitMq(), startPrivateRedis()]);
  proxy = await startTcpProxy(redis.url);
  client = new Redis(redis.url);
  client.on('error', () => undefined);
  faults = await openEngineStage({ redis: proxy.url, rabbitmq: rabbitmq.url });
}, STARTING_MS);
afterEach(async () => {
  proxy.heal();
  await faults.leave();
});
afterAll(async () => {
  client.disconnect();
  await faults.close();
  await proxy.close();
  await Promise.all([rabbitmq.stop(), redis.stop()]);
}, STARTING_MS);

/** The task when it has ended, with its journal: ended well, each tick charged once and none asked about again. */
async function doneOnce(id: string, ticks: number) {
  const ended = async () => {
    const response = await faults.api.request(`/tasks/${id}`);
    return ((await response.json()) as { finished_at?: string | null }).finished_at;
  };
  await eventually('the task ends', ended, COMES_BACK_MS);
  const [task, journal] = await Promise.all([faults.api.task(id), faults.api.journal(id)]);
  expect(task).toMatchObject({ status: 'completed', usage: { ticks } });
  expect(ticksOf(journal)).toEqual(Array.from({ length: ticks }, (_, n) => n + 1));
  expect(askedAgain(faults.stage.questions, task.mandate, journal)).toEqual([]);
  return { task, journal };
}
const asked = (mandate: string, tick: number) =>
  eventually(`tick ${tick} is asked`, () =>
    faults.stage.questions.some((question) => question.mandate === mandate && question.tick === tick),
  );
const timesAsked = (mandate: string) =>
  faults.stage.questions.filter((question) => question.mandate === mandate).length;
const post = (mandate: string) =>
  faults.api.request('/tasks', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ mandate, max_ticks: 5 }),
  });
/** Where Redis keeps what it was told. */
const appendOnlyFiles = async () => {
  const [, dir = ''] = (await client.config('GET', 'dir')) as string[];
  const folder = join(dir, 'appendonlydir');
  const [log = ''] = readdirSync(folder).filter((name) => name.endsWith('.incr.aof'));
  return { folder, log: join(folder, log) };
};

fault(
  'F35',
  'a Redis that crashed without its last second',
  'the agent writes again what was lost with its next step: no tick lost, none asked again',
  async () => {
    const mandate = faults.mandate(thinker(5, 300));
    await faults.agent();
    const { id } = await faults.api.submit(mandate);
    const { log } = await appendOnlyFiles();
    await asked(mandate, 3);
    const saved = statSync(log).size;
    const before = Number(await client.xlen(`task:${id}:journal`));
    await asked(mandate, 5);
    await redis.kill();
    truncateSync(log, saved);
    await redis.restart();
    const { journal } = await doneOnce(id, 5);
    expect(before).toBeLessThan(journal.length - 2);
    expect(timesAsked(mandate)).toBe(5);
  },
);

fault(
  'F36',
  'a Redis that came back empty',
  'a running task is written again by its agent, a waiting one is made anew from its message; an ended one is a 404',
  async () => {
    const ended = await faults.api.submit(faults.mandate(thinker(1)));
    const running = faults.mandate(thinker(4, 500));
    const waiting = faults.mandate(thinker(2));
    await faults.agent();
    await doneOnce(ended.id, 1);
    const first = await faults.api.submit(running);
    const second = await faults.api.submit(waiting);
    await asked(running, 3);
    const { folder } = await appendOnlyFiles();
    await redis.kill();
    rmSync(folder, { recursive: true });
    await redis.restart();
    const { journal } = await doneOnce(first.id, 4);
    await doneOnce(second.id, 2);
    // The tick in hand may be asked again; those before it are not.
    expect(timesAsked(running)).toBeLessThanOrEqual(5);
    expect(JSON.stringify(journal)).toContain('store_lost');
    expect((await faults.api.request(`/tasks/${ended.id}`)).status).toBe(404);
  },
);

fault(
  'F37',
  'Redis away for longer than a lease',
  'POST and GET answer 503 with Retry-After, not ready; then the agent goes on, no tick lost or doubled',
  async () => {
    const mandate = faults.mandate(thinker(4, 300));
    const agent = await faults.agent();
    const { id } = await faults.api.submit(mandate);
    await asked(mandate, 2);
    const used = await faults.api.quotaUsed();
    proxy.refuse();
    const refused = [await post('refused'), await faults.api.request(`/tasks/${id}`)];
    expect(refused.map(({ status, headers }) => [status, Number(headers.get('retry-after')) > 0])).toEqual([
      [503, true],
      [503, true],
    ]);
    await eventually(
      'the gateway is not ready',
      async () => (await faults.api.request('/health/ready')).status === 503,
    );
    await eventually(
      'the agent is not ready',
      async () => (await fetch(`${agent.url}/health/ready`)).status === 503,
    );
    expect(await faults.api.agents()).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    proxy.heal();
    const { journal } = await doneOnce(id, 4);
    expect(new Set(workersOf(journal)).size).toBe(1);
    await eventually('all is ready', async () => (await faults.api.request('/health/ready')).status === 200);
    await eventually('nothing was charged', async () => (await faults.api.quotaUsed()) === used - 10 + 4);
  },
);

fault(
  'F38',
  'a Redis that takes 500 ms for each answer',
  'POST answers 202 in less than 3 s, tasks go on, and no lease runs out',
  async () => {
    const mandates = Array.from({ length: 10 }, () => faults.mandate(thinker(2, 200)));
    await faults.agent({ AGENT_CONCURRENCY: '5' });
    proxy.delay(500);
    const submitted = await Promise.all(
      mandates.map(async (mandate) => {
        const start = performance.now();
        const { id } = await faults.api.submit(mandate);
        return { id, ms: performance.now() - start };
      }),
    );
    expect(Math.max(...submitted.map(({ ms }) => ms))).toBeLessThan(3_000);
    for (const { id } of submitted) {
      const { journal } = await doneOnce(id, 2);
      expect(workersOf(journal)).toHaveLength(1);
    }
  },
);

for (const [what, begin, end] of [
  ['F39', () => client.config('SET', 'maxmemory', '1'), () => client.config('SET', 'maxmemory', '0')],
  ['F39', () => client.replicaof('127.0.0.1', 1), () => client.replicaof('NO', 'ONE')],
] as const) {
  fault(
    what,
    begin.toString().includes('maxmemory')
      ? 'a Redis that is out of memory'
      : 'a Redis that is a read-only replica',
    'like one that is away: 503 and not ready, nothing is evicted, and the work goes on afterwards',
    async () => {
      const mandate = faults.mandate(thinker(3, 300));
      await faults.agent();
      const { id } = await faults.api.submit(mandate);
      await asked(mandate, 2);
      const used = await faults.api.quotaUsed();
      await begin();
      expect((await post('refused')).status).toBe(503);
      await eventually('not ready', async () => (await faults.api.request('/health/ready')).status === 503);
      await end();
      await doneOnce(id, 3);
      await eventually('nothing was charged', async () => (await faults.api.quotaUsed()) === used - 10 + 3);
    },
  );
}

fault(
  'F35',
  'one restart of Redis with 1,000 tasks queued',
  'all of them end, each once',
  async () => {
    const ids: string[] = [];
    while (ids.length < 1_000) {
      const mandates = Array.from({ length: 50 }, (_, n) => `one of many ${ids.length + n}`);
      ids.push(...(await faults.api.submitAll(mandates)));
    }
    await redis.restart();
    await Promise.all([faults.agent({ AGENT_CONCURRENCY: '16' }), faults.agent({ AGENT_CONCURRENCY: '16' })]);
    for (const id of ids) await doneOnce(id, 1);
    expect(new Set(faults.stage.questions.map(({ mandate }) => mandate)).size).toBeGreaterThanOrEqual(1_000);
  },
  120_000,
);
