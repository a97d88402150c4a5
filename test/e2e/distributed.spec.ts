import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import amqp from 'amqplib';
import { Redis } from 'ioredis';
import { eventually } from '../support/eventually.js';
import { startChroma } from '../support/servers/chroma-server.js';
import { startRabbitMq } from '../support/servers/rabbitmq-server.js';
import { startRedis } from '../support/servers/redis-server.js';
import { askedAgain, openStage, type Stage, thinker, ticksOf } from '../support/stage.js';

const STARTING_MS = 120_000;
const TERMINAL = new Set(['completed', 'error', 'cancelled']);

describe('the whole system on Redis, RabbitMQ and ChromaDB', () => {
  let engines: { redis: string; rabbitmq: string; chroma: string; stop(): Promise<void> };
  let queue: string;
  let stage: Stage;

  beforeAll(async () => {
    const [redis, rabbitmq, chroma] = await Promise.all([startRedis(), startRabbitMq(), startChroma()]);
    engines = {
      redis: redis.url,
      rabbitmq: rabbitmq.url,
      chroma: chroma.url,
      stop: async () => {
        await Promise.all([redis.stop(), rabbitmq.stop(), chroma.stop()]);
      },
    };
  }, STARTING_MS);
  afterAll(() => engines.stop(), STARTING_MS);
  afterEach(() => stage.close());

  /** A queue of its own for each test; ids are unique anyway. */
  const env = () => ({
    REDIS_URL: engines.redis,
    RABBITMQ_URL: engines.rabbitmq,
    CHROMA_URL: engines.chroma,
    QUEUE_NAME: queue,
  });

  it('runs 200 tasks on a gateway, two agents and the metrics sidecar, under the seed’s keys', async () => {
    queue = `e2e.${randomUUID()}`;
    stage = await openStage(thinker(2));
    const [gateway] = await Promise.all([
      stage.start('gateway', env()),
      stage.start('agent', { ...env(), AGENT_CONCURRENCY: '4' }),
      stage.start('agent', { ...env(), AGENT_CONCURRENCY: '4' }),
      stage.start('metrics', env()),
    ]);
    const api = await stage.api(gateway);
    const redis = new Redis(engines.redis);
    try {
      await eventually('both agents are counted', async () => (await api.agents()) === 2);
      expect(await redis.scard('workers:status')).toBeGreaterThanOrEqual(2);

      const ids = await api.submitAll(Array.from({ length: 200 }, (_, index) => `mandate ${index}`));
      const done = async (id: string) => TERMINAL.has((await api.task(id)).status);
      for (const id of ids) await eventually(`task ${id} has ended`, () => done(id), 60_000);
      const tasks = await Promise.all(ids.map((id) => api.task(id)));
      expect(tasks.map(({ status, usage }) => [status, usage.ticks])).toEqual(
        ids.map(() => ['completed', 2]),
      );

      const stored = JSON.parse((await redis.get(`task:${ids[0]}`)) ?? '{}') as Record<string, unknown>;
      expect(stored).toMatchObject({
        correlation_id: ids[0],
        status: 'completed',
        mandate: 'mandate 0',
        tick: 2,
      });
      await eventually('unused ticks are back', async () => (await api.quotaUsed()) === 400);
    } finally {
      redis.disconnect();
    }
  }, 120_000);

  it('goes on after kill -9 of the agent in mid-task, from the journal', async () => {
    queue = `e2e.${randomUUID()}`;
    stage = await openStage((question) =>
      question.tick === 3 && question.times === 1 ? 'hang' : thinker(4)(question),
    );
    const gateway = await stage.start('gateway', env());
    const first = await stage.start('agent', env());
    const api = await stage.api(gateway);
    const { id } = await api.submit('survive');
    await eventually('tick 3 is asked', () => stage.questions.some(({ tick }) => tick === 3));
    await first.kill('SIGKILL');
    await stage.start('agent', env());
    const journal = await api.journal(id);
    expect(ticksOf(journal)).toEqual([1, 2, 3, 4]);
    expect(askedAgain(stage.questions, 'survive', journal)).toEqual([]);
    expect((await api.task(id)).status).toBe('completed');
  }, 90_000);

  it('completes what a plain AMQP client published, and dead-letters what is no task', async () => {
    queue = `e2e.${randomUUID()}`;
    stage = await openStage(thinker(1));
    await stage.start('agent', env());
    const connection = await amqp.connect(engines.rabbitmq);
    const redis = new Redis(engines.redis);
    try {
      const channel = await connection.createConfirmChannel();
      const id = randomUUID();
      channel.sendToQueue(queue, Buffer.from('not a task'));
      channel.sendToQueue(
        queue,
        Buffer.from(JSON.stringify({ mandate: 'foreign', max_ticks: 3, correlation_id: id })),
      );
      await channel.waitForConfirms();
      const stored = await eventually('the foreign task is completed', async () => {
        const text = await redis.get(`task:${id}`);
        return text?.includes('"completed"') ? text : null;
      });
      expect(JSON.parse(stored)).toMatchObject({ status: 'completed', mandate: 'foreign', user_id: null });
      const dead = await eventually(
        'the other is dead-lettered',
        async () => (await channel.get(`${queue}.dead`)) || null,
      );
      expect(dead.content.toString()).toBe('not a task');
    } finally {
      redis.disconnect();
      await connection.close();
    }
  }, 60_000);
});
