import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import amqp from 'amqplib';
import { Redis } from 'ioredis';
import { eventually } from '../../support/eventually.js';
import { type EuglenaProcess } from '../../support/euglena-process.js';
import { type PrivateRabbitMqServer, startPrivateRabbitMq } from '../../support/servers/rabbitmq-server.js';
import { type RedisServer, startRedis } from '../../support/servers/redis-server.js';
import { askedAgain, thinker, ticksOf } from '../../support/stage.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { type EngineStage, onSigusr2, openEngineStage, type Script, workersOf } from './engine-stage.js';
import { fault } from './fault.js';

const STARTING_MS = 120_000;
/** Leases last 3 s here; what waits for one gets more. */
const COMES_BACK_MS = 20_000;

let rabbitmq: PrivateRabbitMqServer;
let redis: RedisServer;
/** The way of the agents that a fault cuts off from the broker. */
let proxy: TcpProxy;
let faults: EngineStage;

beforeAll(async () => {
  // A silent client is given up after two of these.
  [rabbitmq, redis] = await Promise.all([startPrivateRabbitMq('heartbeat = 3'), startRedis()]);
  proxy = await startTcpProxy(rabbitmq.url);
  faults = await openEngineStage({ redis: redis.url, rabbitmq: rabbitmq.url });
}, STARTING_MS);
afterEach(async () => {
  proxy.heal();
  await faults.leave();
});
afterAll(async () => {
  await faults.close();
  await proxy.close();
  await Promise.all([rabbitmq.stop(), redis.stop()]);
}, STARTING_MS);

/** The task when it has ended, with its journal: ended well, each tick charged once and none asked about again. */
async function doneOnce(id: string, ticks: number) {
  const ended = async () => (await faults.api.task(id)).finished_at !== null;
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
/** Hangs where somebody is to be killed, at the first asking. */
const hangingAt =
  (hung: number, ticks: number): Script =>
  (question) =>
    question.tick === hung && question.times === 1 ? 'hang' : thinker(ticks)(question);

fault(
  'F01',
  'kill -9 of an agent in mid-tick',
  'another agent has the task within its lease and goes on behind the last stored tick',
  async () => {
    const mandate = faults.mandate(hangingAt(3, 4));
    const first = await faults.agent();
    const { id } = await faults.api.submit(mandate);
    await asked(mandate, 3);
    await faults.agent();
    await first.kill('SIGKILL');
    const { journal } = await doneOnce(id, 4);
    expect(new Set(workersOf(journal)).size).toBe(2);
  },
);

fault(
  'F02',
  'kill -9 of an agent between the stored result and the ack',
  'the redelivered message is acknowledged without a model call, and the result stays',
  async () => {
    const mandate = faults.mandate((question) => {
      proxy.silence();
      return thinker(1)(question);
    });
    const first = await faults.agent({ RABBITMQ_URL: proxy.url });
    const { id } = await faults.api.submit(mandate);
    const { task } = await doneOnce(id, 1);
    await first.kill('SIGKILL');
    proxy.cut();
    await faults.agent();
    await eventually('the message is gone', async () => (await messages()) === 0);
    expect(await faults.api.task(id)).toEqual(task);
    expect(faults.stage.questions.filter((question) => question.mandate === mandate)).toHaveLength(1);
  },
);

fault(
  'F03',
  'kill -9 of an agent between the charge of a tick and what the tick does',
  'the tick is carried out from the journal, without another model call or charge',
  async () => {
    let first: EuglenaProcess | undefined;
    const mandate = faults.mandate((question) => {
      // Tick 2 was charged some milliseconds ago; what it brought is written 50 ms after that.
      if (question.tick === 3 && question.times === 1) first?.signal('SIGKILL');
      return thinker(4)(question);
    });
    first = await faults.agent();
    const { id } = await faults.api.submit(mandate);
    await first.exited;
    await faults.agent();
    await doneOnce(id, 4);
  },
);

fault(
  'F04 F40',
  'SIGSTOP of an agent for longer than its lease, then SIGCONT',
  'another agent ends the task; the first can write nothing more, and is as good as new for the next task',
  async () => {
    let first: EuglenaProcess | undefined;
    const mandate = faults.mandate((question) => {
      if (question.tick !== 2 || question.times > 1) return thinker(3)(question);
      first?.signal('SIGSTOP');
      return { action: 'THINK', argument: 'of a sleeper' };
    });
    first = await faults.agent({ RABBITMQ_URL: proxy.url });
    const { id } = await faults.api.submit(mandate);
    await asked(mandate, 2);
    const second = await faults.agent();
    // What the broker does when the heartbeats stay out.
    proxy.cut();
    const { task, journal } = await doneOnce(id, 3);
    first.signal('SIGCONT');
    await eventually('it leaves the task', () => first?.output().includes('left ('));
    expect(await faults.api.task(id)).toEqual(task);
    expect(JSON.stringify(journal)).not.toContain('of a sleeper');
    await second.kill('SIGTERM');
    const next = await faults.api.submit(faults.mandate(thinker(2)));
    await doneOnce(next.id, 2);
  },
);

fault(
  'F05',
  "an agent's event loop blocked for longer than lease and heartbeats",
  'the broker gives the task to another agent, and there is one result',
  async () => {
    let first: EuglenaProcess | undefined;
    const mandate = faults.mandate((question) => {
      if (question.tick !== 2 || question.times > 1) return thinker(3)(question);
      first?.signal('SIGUSR2');
      return { action: 'EXIT', argument: 'of a sleeper', delayMs: 200 };
    });
    const block = 'const end = performance.now() + 12_000; while (performance.now() < end);';
    first = await faults.agent(onSigusr2(block));
    const { id } = await faults.api.submit(mandate);
    await asked(mandate, 2);
    await faults.agent();
    const { task } = await doneOnce(id, 3);
    await eventually('it leaves the task', () => first?.output().includes('left ('), COMES_BACK_MS);
    expect(await faults.api.task(id)).toEqual(task);
    expect(task.result?.answer).toBe(`answer to ${mandate}`);
  },
);

fault(
  'F09',
  'SIGTERM to an agent in mid-tick',
  'it ends the tick, hands the task back with its journal and exits 0; another agent goes on',
  async () => {
    const mandate = faults.mandate((question) => thinker(3, question.tick === 2 ? 1_000 : 0)(question));
    const first = await faults.agent();
    const { id } = await faults.api.submit(mandate);
    await asked(mandate, 2);
    expect(await first.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(await faults.api.task(id)).toMatchObject({ status: 'in_queue', worker_id: null, tick: 2 });
    await faults.agent();
    const { journal } = await doneOnce(id, 3);
    expect(journal.filter(({ type }) => type === 'released')).toMatchObject([{ data: { reason: 'drain' } }]);
    expect(faults.stage.questions.filter((question) => question.mandate === mandate)).toHaveLength(3);
  },
);

fault(
  'F10',
  'SIGTERM to a gateway under load',
  'it is never ready again, answers what it has begun without a 5xx, and every 202 is kept',
  async () => {
    const gateway = await faults.stage.start('gateway', faults.env);
    const api = await faults.stage.api(gateway);
    const accepted: string[] = [];
    const refused: number[] = [];
    const health: number[] = [];
    let open = true;
    let posted = 0;
    const post = async () => {
      const response = await api.request('/tasks', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ mandate: `under load ${posted++}`, max_ticks: 1 }),
      });
      if (response.status !== 202) return void refused.push(response.status);
      accepted.push(((await response.json()) as { correlation_id: string }).correlation_id);
    };
    const ready = async () => {
      const response = await api.request('/health/ready');
      await response.arrayBuffer();
      health.push(response.status);
    };
    const untilClosed = async (step: () => Promise<void>) => {
      while (open) await step().catch(() => (open = false));
    };
    const load = [...Array.from({ length: 8 }, () => untilClosed(post)), untilClosed(ready)];
    await eventually('some are accepted', () => accepted.length > 50);
    expect(await gateway.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    await Promise.all(load);
    expect(refused).toEqual([]);
    expect(health.join(' ')).toMatch(/^(200 ?)+(503 ?)*$/);
    await faults.agent({ AGENT_CONCURRENCY: '8' });
    for (const id of accepted) await doneOnce(id, 1);
  },
);

fault(
  'F11',
  'SIGTERM twice, and SIGTERM during the start',
  'it exits once, and leaves neither a consumer nor its presence behind',
  async () => {
    const agent = await faults.agent();
    agent.signal('SIGTERM');
    agent.signal('SIGTERM');
    expect(await agent.exited).toEqual({ code: 0, signal: null });
    for (const afterMs of [100, 600, 900, 1_200]) {
      const env = { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: '0', ...faults.env };
      const child = spawn(process.execPath, ['dist/main.js', '--role', 'agent'], { env, stdio: 'ignore' });
      const exited = once(child, 'exit');
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      child.kill('SIGTERM');
      // Before it can listen to signals, the system ends it.
      const [code, signal] = (await exited) as [number | null, string | null];
      expect(code ?? signal).toEqual(code === null ? 'SIGTERM' : 0);
    }
    expect(await consumers()).toBe(0);
    expect(await faults.api.agents()).toBe(0);
  },
);

fault(
  'F12',
  'an unhandled rejection in an agent, and one that is out of memory',
  'the process ends with a failure, and another agent goes on with its task',
  async () => {
    const rejection = onSigusr2('void Promise.reject(new Error("unhandled"))');
    const outOfMemory = onSigusr2(
      'const all = []; for (;;) all.push(new Array(1e5).fill(all.length));',
      '--max-old-space-size=256',
    );
    for (const env of [rejection, outOfMemory]) {
      const mandate = faults.mandate(hangingAt(2, 2));
      const first = await faults.agent(env);
      const { id } = await faults.api.submit(mandate);
      await asked(mandate, 2);
      first.signal('SIGUSR2');
      expect((await first.exited).code).not.toBe(0);
      const second = await faults.agent();
      await doneOnce(id, 2);
      await second.kill('SIGTERM');
    }
  },
);

fault(
  'F71',
  'kill -9 of one agent of two',
  'it is counted no more when its presence has run out, and is cleaned up',
  async () => {
    const [first] = await Promise.all([faults.agent(), faults.agent()]);
    await eventually('both are counted', async () => (await faults.api.agents()) === 2);
    await first?.kill('SIGKILL');
    const start = performance.now();
    await eventually('one is counted', async () => (await faults.api.agents()) === 1);
    expect(performance.now() - start).toBeLessThan(4_000);
    const client = new Redis(redis.url);
    expect(await client.scard('workers:status')).toBe(1);
    client.disconnect();
  },
);

async function onChannel<T>(work: (channel: amqp.Channel) => Promise<T>): Promise<T> {
  const connection = await amqp.connect(rabbitmq.url);
  try {
    return await work(await connection.createChannel());
  } finally {
    await connection.close();
  }
}
const messages = () => onChannel(async (channel) => (await channel.checkQueue(faults.queue)).messageCount);
const consumers = () => onChannel(async (channel) => (await channel.checkQueue(faults.queue)).consumerCount);
