import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type EnginesOnTheWire, readinessOf, startEnginesOnTheWire } from '../support/engines.js';
import { type EuglenaApi } from '../support/euglena-api.js';
import { type EuglenaProcess } from '../support/euglena-process.js';
import { eventually } from '../support/eventually.js';
import { openStage, type Stage, thinker, ticksOf } from '../support/stage.js';

const STARTING_MS = 120_000;

let engines: EnginesOnTheWire;
beforeAll(async () => {
  engines = await startEnginesOnTheWire();
}, STARTING_MS);
afterEach(() => engines.clean());
afterAll(() => engines.stop(), STARTING_MS);

describe('a role whose engine goes away', () => {
  let stage: Stage;
  let queue: string;
  afterEach(() => stage.close());

  const env = () => ({
    REDIS_URL: engines.wires.redis.url,
    RABBITMQ_URL: engines.wires.rabbitmq.url,
    QUEUE_NAME: queue,
  });
  const readiness = (role: EuglenaProcess, status: number) =>
    eventually(`ready answers ${status}`, async () => {
      const report = await readinessOf(role.url);
      return report.status === status && report;
    });

  /** A request that is answered in time, and as one that may be sent again. */
  const refusal = async (request: Promise<Response>) => {
    const since = performance.now();
    const response = await request;
    const seconds = (performance.now() - since) / 1_000;
    expect(response.status).toBe(503);
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await response.json()).toMatchObject({ code: 'engine_unavailable', status: 503 });
    expect(seconds).toBeLessThan(3.5);
  };
  const submission = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ mandate: 'never', max_ticks: 10 }),
  };
  const tasksOf = async (api: EuglenaApi) =>
    ((await (await api.request('/tasks')).json()) as { tasks: unknown[] }).tasks.length;

  it.each([
    ['Redis', 'redis', ['task-store', 'presence']],
    ['RabbitMQ', 'rabbitmq', ['work-queue']],
  ] as const)(
    'a gateway whose %s goes away says so, refuses without a trace, and serves again by itself',
    async (engine, name, components) => {
      queue = engines.freshQueue();
      stage = await openStage(thinker(1));
      const gateway = await stage.start('gateway', env());
      const api = await stage.api(gateway);
      const { id } = await api.submit('before');

      engines.wires[name].refuse();
      for (let again = 0; again < 3; again += 1) await refusal(api.request('/tasks', submission));
      expect(await readiness(gateway, 503)).toMatchObject({ down: components });
      expect((await fetch(`${gateway.url}/health/live`)).status).toBe(200);
      if (engine === 'Redis') {
        await refusal(api.request(`/tasks/${id}`));
        await refusal(api.request('/tasks'));
      }
      expect(await api.quotaUsed()).toBe(10);
      expect(await engines.broker.checkQueue(queue)).toMatchObject({ messageCount: 1 });

      engines.wires[name].heal();
      await readiness(gateway, 200);
      expect(await tasksOf(api)).toBe(1);
      await api.submit('after');
      expect(await api.quotaUsed()).toBe(20);
      expect(await engines.broker.checkQueue(queue)).toMatchObject({ messageCount: 2 });
    },
    60_000,
  );

  it.each([
    [
      'is full',
      () => engines.raw.config('SET', 'maxmemory', '1'),
      () => engines.raw.config('SET', 'maxmemory', '0'),
    ],
    [
      'becomes a replica',
      () => engines.raw.replicaof('127.0.0.1', 1),
      () => engines.raw.replicaof('NO', 'ONE'),
    ],
  ])(
    'a gateway whose Redis %s is not ready until that is over, and takes nothing',
    async (_, spoil, mend) => {
      queue = engines.freshQueue();
      stage = await openStage(thinker(1));
      const gateway = await stage.start('gateway', env());
      const api = await stage.api(gateway);
      await spoil();
      try {
        await refusal(api.request('/tasks', submission));
        expect(await readiness(gateway, 503)).toMatchObject({ down: ['task-store', 'presence'] });
        await refusal(api.request('/tasks', submission));
        expect(await api.quotaUsed()).toBe(0);
      } finally {
        await mend();
      }
      await readiness(gateway, 200);
      expect(await tasksOf(api)).toBe(0);
      await api.submit('after');
      expect(await engines.broker.checkQueue(queue)).toMatchObject({ messageCount: 1 });
    },
  );

  it('a gateway whose Redis falls silent refuses in time, and undoes what arrives late', async () => {
    queue = engines.freshQueue();
    stage = await openStage(thinker(1));
    const gateway = await stage.start('gateway', env());
    const api = await stage.api(gateway);
    await api.submit('before');
    engines.wires.redis.silence();
    const underWay = Array.from({ length: 3 }, () => refusal(api.request('/tasks', submission)));
    await Promise.all(underWay);
    expect(await readiness(gateway, 503)).toMatchObject({ down: ['task-store', 'presence'] });
    await refusal(api.request('/tasks', submission));
    engines.wires.redis.heal();
    await readiness(gateway, 200);
    await eventually('only the first has ticks', async () => (await api.quotaUsed()) === 10);
    expect(await tasksOf(api)).toBe(1);
    expect(await engines.broker.checkQueue(queue)).toMatchObject({ messageCount: 1 });
  }, 60_000);

  it('an agent whose Redis goes away finishes its tick, takes nothing more, and comes back by itself', async () => {
    queue = engines.freshQueue();
    let ask: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => (ask = resolve));
    stage = await openStage((question) => {
      if (question.mandate === 'first' && question.tick === 2) ask();
      return thinker(4, 300)(question);
    });
    const gateway = await stage.start('gateway', { ...env(), REDIS_URL: engines.redis.url });
    const agent = await stage.start('agent', { ...env(), AGENT_STATUS_TIME: '5', AGENT_CONCURRENCY: '2' });
    const api = await stage.api(gateway);
    const first = await api.submit('first');
    await asked;
    engines.wires.redis.refuse();
    const others = await api.submitAll(['second', 'third', 'fourth']);
    await eventually('it has noticed', () =>
      agent.output().includes('No work until the task store serves again'),
    );
    expect(await readiness(agent, 503)).toMatchObject({ down: ['task-store', 'presence'] });
    const before = stage.questions.length;
    await eventually('it is still away', () => agent.output().split('presence was not renewed').length > 2);
    expect(stage.questions).toHaveLength(before);

    engines.wires.redis.heal();
    const ended = async (id: string) => (await api.task(id)).status === 'completed';
    for (const id of [first.id, ...others])
      await eventually(`task ${id} is completed`, () => ended(id), 30_000);
    expect(ticksOf(await api.journal(first.id))).toEqual([1, 2, 3, 4]);
    expect(await engines.broker.checkQueue(`${queue}.dead`)).toMatchObject({ messageCount: 0 });
    expect(agent.output()).not.toMatch(/Delivery \d+ of a message failed/);
    await readiness(agent, 200);
  }, 90_000);

  it('an agent works on, and keeps its lease, over a restart of Redis', async () => {
    queue = engines.freshQueue();
    stage = await openStage(thinker(8, 400));
    const gateway = await stage.start('gateway', { ...env(), REDIS_URL: engines.redis.url });
    await stage.start('agent', { ...env(), REDIS_URL: engines.redis.url, AGENT_STATUS_TIME: '10' });
    const api = await stage.api(gateway);
    const { id } = await api.submit('over');
    await eventually('tick 3 is asked', () => stage.questions.some(({ tick }) => tick === 3));
    await engines.redis.restart();
    const done = () =>
      api.task(id).then(
        ({ status }) => status === 'completed',
        () => false,
      );
    await eventually('it is completed', done, 30_000);
    const journal = await api.journal(id);
    expect(ticksOf(journal)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(journal.filter(({ type }) => type === 'accepted')).toHaveLength(1);
    expect(stage.questions.map(({ tick }) => tick)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  }, 60_000);
});
