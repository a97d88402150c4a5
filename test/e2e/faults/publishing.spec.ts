import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import { Redis } from 'ioredis';
import { EmbeddedDatabase } from '../../../src/ports/embedded/embedded-database.js';
import { eventually } from '../../support/eventually.js';
import { type ApiTask, type EuglenaApi } from '../../support/euglena-api.js';
import { type EuglenaProcess } from '../../support/euglena-process.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { type Engines, openEngines, STARTING_MS } from './engines.js';
import { fault } from './fault.js';

/** What a client waits for an answer at most, in ms. */
const PATIENCE_MS = 3_000;

let engines: Engines;
let redis: Redis;
let toBroker: TcpProxy;
let toRedis: TcpProxy;

beforeAll(async () => {
  engines = await openEngines();
  redis = new Redis(engines.redis.url);
  [toBroker, toRedis] = await Promise.all([
    startTcpProxy(engines.rabbitmq.url),
    startTcpProxy(engines.redis.url),
  ]);
}, STARTING_MS);
afterAll(async () => {
  await Promise.all([toBroker.close(), toRedis.close()]);
  redis.disconnect();
  await engines.close();
}, STARTING_MS);
afterEach(async () => {
  heal();
  await engines.endOthers();
});

function heal(): void {
  for (const proxy of [toBroker, toRedis]) {
    proxy.cut();
    proxy.heal();
  }
}

/** A user who sees a gateway behind the proxies, and the one that is not. */
async function distantUser() {
  const gateway = await engines.start('gateway', { RABBITMQ_URL: toBroker.url, REDIS_URL: toRedis.url });
  const subject = randomUUID();
  const [api, directly] = await Promise.all([
    engines.stage.api(gateway, subject),
    engines.stage.api(engines.gateway, subject),
  ]);
  return { gateway, api, directly };
}

/** A submission whose answer may be anything, or none at all. */
function submit(api: EuglenaApi, mandate: string, key?: string): Promise<Response> {
  return api.request('/tasks', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { 'idempotency-key': key }) },
    body: JSON.stringify({ mandate, max_ticks: 10 }),
  });
}

const idOf = async (response: Response) =>
  ((await response.json()) as { correlation_id: string }).correlation_id;
const outboxed = async () => (await redis.hlen('tasks:outbox:body')) > 0;
const asked = (mandate: string) => engines.stage.questions.filter((question) => question.mandate === mandate);
const waiting = () =>
  engines.onChannel(async (channel) => (await channel.checkQueue(engines.queue)).messageCount);

async function readiness(gateway: EuglenaProcess): Promise<{ status: number; queue: string | undefined }> {
  const response = await fetch(`${gateway.url}/health/ready`);
  const { components } = (await response.json()) as { components: Record<string, { status: string }> };
  return { status: response.status, queue: components['work-queue']?.status };
}

/** 503 in time, when to come again, and nothing that is nobody's business. */
async function expectRefused(response: Response, since: number): Promise<void> {
  expect(performance.now() - since).toBeLessThan(PATIENCE_MS);
  expect([response.status, response.headers.get('retry-after')]).toEqual([
    503,
    expect.stringMatching(/^\d+$/),
  ]);
  const text = await response.text();
  expect(JSON.parse(text)).toMatchObject({ code: 'engine_unavailable' });
  expect(text).not.toMatch(/rabbit|amqp|guest|127\.0\.0\.1|\bat .*:\d+:\d+/i);
}

/** An agent does what there is to do. */
async function auditWithAgent(api: EuglenaApi, ids: readonly string[]): Promise<void> {
  await engines.start('agent', { AGENT_CONCURRENCY: '10' });
  await engines.audit({ api, ids });
}

fault(
  'F06',
  'kill -9 of the gateway between the write to Redis and the publish',
  'the client sees a reset; a retry with its key gets the same task, which another gateway queues; it runs once',
  async () => {
    const { gateway, api, directly } = await distantUser();
    toBroker.silence();
    const answer = submit(api, 'stored', 'key-1').catch(() => 'reset');
    await eventually('the task is stored', outboxed);
    await gateway.kill('SIGKILL');
    expect(await answer).toBe('reset');
    toBroker.cut();
    expect(await waiting()).toBe(0);
    const retried = await submit(directly, 'stored', 'key-1');
    expect(retried.status).toBe(202);
    await auditWithAgent(directly, [await idOf(retried)]);
    expect(asked('stored')).toHaveLength(1);
  },
);

fault(
  'F07',
  'kill -9 of the gateway between the publish and the confirmation',
  'another gateway publishes it a second time, and the task runs once',
  async () => {
    const { gateway, api, directly } = await distantUser();
    toBroker.delay(60_000);
    const answer = submit(api, 'published').catch(() => 'reset');
    await eventually('the message is queued', async () => (await waiting()) === 1);
    await gateway.kill('SIGKILL');
    expect(await answer).toBe('reset');
    await eventually('it is queued twice', async () => (await waiting()) === 2);
    const { tasks } = (await (await directly.request('/tasks')).json()) as { tasks: ApiTask[] };
    await auditWithAgent(
      directly,
      tasks.map(({ correlation_id: id }) => id),
    );
    expect([tasks.length, asked('published').length]).toEqual([1, 1]);
  },
);

fault(
  'F08',
  'kill -9 of the gateway between the reservation of ticks and the write to Redis',
  'no task exists, and another gateway gives the ticks back within a minute',
  async () => {
    const { gateway, api, directly } = await distantUser();
    toRedis.silence();
    const answer = submit(api, 'reserved').catch(() => 'reset');
    await eventually('the ticks are reserved', async () => (await directly.quotaUsed()) === 10);
    await gateway.kill('SIGKILL');
    expect(await answer).toBe('reset');
    // A minute passes.
    const database = EmbeddedDatabase.open(engines.stage.dataDir);
    database.run('UPDATE quota_ledger SET at = at - 45000 WHERE settled IS NULL');
    database.close();
    await engines.audit({ api: directly, ids: [] });
  },
);

fault(
  'F17',
  'the broker is down while tasks are submitted',
  'each gets 503 with Retry-After within 3 s and leaves nothing; one with a key gets 202 and is queued later',
  async () => {
    const { gateway, api, directly } = await distantUser();
    toBroker.refuse();
    await eventually('the gateway is not ready', async () => (await readiness(gateway)).status === 503);
    const since = performance.now();
    const answers = await Promise.all(Array.from({ length: 10 }, () => submit(api, 'refused')));
    for (const answer of answers) await expectRefused(answer, since);
    await engines.audit({ api: directly, ids: [], timeoutMs: 5_000 });
    const keyed = await submit(api, 'keyed', 'key-2');
    expect(keyed.status).toBe(202);
    heal();
    await eventually('the gateway is ready', async () => (await readiness(gateway)).status === 200);
    await auditWithAgent(api, [await idOf(keyed), (await api.submit('taken')).id]);
    expect(asked('refused')).toEqual([]);
  },
);

fault(
  'F19',
  'the queue of work is deleted on the broker',
  'the broker returns the message: 503, nothing is stored; the queue is declared again and the next task is taken',
  async () => {
    const api = await engines.newUser();
    await engines.onChannel((channel) => channel.deleteQueue(engines.queue));
    const since = performance.now();
    await expectRefused(await submit(api, 'returned'), since);
    await engines.audit({ api, ids: [], timeoutMs: 5_000 });
    await auditWithAgent(api, [(await api.submit('next')).id]);
  },
);

fault(
  'F24',
  'the network between gateway and broker drops everything, without a word',
  'within 3 s a task is refused and leaves nothing, or is accepted and kept until it can be queued; /health says so',
  async () => {
    const { gateway, api } = await distantUser();
    const { id: earlier } = await api.submit('earlier');
    toBroker.silence();
    const since = performance.now();
    const answers = await Promise.all(Array.from({ length: 10 }, () => submit(api, 'dropped')));
    expect(performance.now() - since).toBeLessThan(PATIENCE_MS);
    expect(answers.map(({ status }) => status).filter((status) => status !== 202 && status !== 503)).toEqual(
      [],
    );
    expect(await readiness(gateway)).toEqual({ status: 503, queue: 'down' });
    expect((await api.task(earlier)).status).toBe('in_queue');
    const accepted = await Promise.all(answers.filter(({ status }) => status === 202).map(idOf));
    heal();
    await eventually('the gateway is ready', async () => (await readiness(gateway)).status === 200);
    await auditWithAgent(api, [earlier, ...accepted]);
    expect(asked('dropped')).toHaveLength(accepted.length);
  },
);
