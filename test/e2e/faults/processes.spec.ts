import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import { Redis } from 'ioredis';
import { eventually } from '../../support/eventually.js';
import { type EuglenaApi } from '../../support/euglena-api.js';
import { launchEuglena } from '../../support/euglena-process.js';
import { askedAgain, type Question, thinker } from '../../support/stage.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { type Engines, openEngines, STARTING_MS } from './engines.js';
import { fault } from './fault.js';
import { atStart, onSigusr2 } from './inside.js';

let engines: Engines;
/** The way to the broker of an agent that a fault cuts off. */
let proxy: TcpProxy;
let api: EuglenaApi;

beforeAll(async () => {
  // Whoever is silent for two of these is given up.
  engines = await openEngines('heartbeat = 3');
  proxy = await startTcpProxy(engines.rabbitmq.url);
}, STARTING_MS);
afterAll(async () => {
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
/** Says nothing when the tick is asked for the first time: whoever asks is to be killed then. */
const hangingAt = (tick: number, ticks: number) => (question: Question) =>
  question.tick === tick && question.times === 1 ? 'hang' : thinker(ticks)(question);
/** Audits one task: it ended well, and no tick was asked about again that its journal had. Answers who worked on it. */
async function audited(id: string, ticks: number): Promise<unknown[]> {
  await engines.audit({ api, ids: [id] });
  const [task, journal] = await Promise.all([api.task(id), api.journal(id)]);
  expect(task).toMatchObject({ status: 'completed', usage: { ticks } });
  expect(askedAgain(engines.stage.questions, task.mandate, journal)).toEqual([]);
  return journal.filter(({ type }) => type === 'accepted').map(({ data }) => data.worker_id);
}

fault(
  'F01',
  'kill -9 of an agent in mid-tick',
  'another agent gets the task at once, waits for the lease, and goes on behind the last stored tick',
  async () => {
    engines.say(hangingAt(3, 4));
    const first = await engines.start('agent');
    const { id } = await api.submit('F01');
    await tickAsked('F01', 3);
    await engines.start('agent');
    await first.kill('SIGKILL');
    expect(new Set(await audited(id, 4)).size).toBe(2);
    expect(asked('F01').map(({ tick }) => tick)).toEqual([1, 2, 3, 3, 4]);
  },
);

fault(
  'F02',
  'kill -9 of an agent between the stored result and the ack',
  'the message comes back and is acknowledged without a model call; the result stays',
  async () => {
    engines.say((question) => {
      proxy.silence();
      return thinker(1)(question);
    });
    const first = await engines.start('agent', { RABBITMQ_URL: proxy.url });
    const { id } = await api.submit('F02');
    await eventually('it ends', async () => (await api.task(id)).finished_at !== null);
    const task = await api.task(id);
    await first.kill('SIGKILL');
    proxy.cut();
    await engines.start('agent');
    await audited(id, 1);
    expect(await api.task(id)).toEqual(task);
    expect(asked('F02')).toHaveLength(1);
  },
);

fault(
  'F03',
  'kill -9 of an agent between the charge of a tick and what the tick does',
  'the tick is carried out from the journal, without another model call or charge',
  async () => {
    const first = await engines.start('agent');
    engines.say((question) => {
      // Tick 2 was charged some milliseconds ago; what it brought would be written 50 ms after that.
      if (question.tick === 3 && question.times === 1) first.signal('SIGKILL');
      return thinker(4)(question);
    });
    const { id } = await api.submit('F03');
    await first.exited;
    await engines.start('agent');
    await audited(id, 4);
    expect(asked('F03').map(({ tick }) => tick)).toEqual([1, 2, 3, 3, 4]);
  },
);

fault(
  'F04 F40',
  'SIGSTOP of an agent for longer than its lease, then SIGCONT',
  'another agent ends the task; the first can write nothing more, and is as good as new for the next task',
  async () => {
    const first = await engines.start('agent', { RABBITMQ_URL: proxy.url });
    engines.say((question) => {
      const { mandate, tick, times } = question;
      if (mandate !== 'F04' || tick !== 2 || times > 1) return thinker(3)(question);
      first.signal('SIGSTOP');
      return { action: 'EXIT', argument: 'of a sleeper' };
    });
    const { id } = await api.submit('F04');
    await tickAsked('F04', 2);
    const second = await engines.start('agent');
    // What the broker does when the heartbeats stay out.
    proxy.cut();
    expect(new Set(await audited(id, 3)).size).toBe(2);
    const task = await api.task(id);
    expect(task.result?.answer).toBe('answer to F04');
    first.signal('SIGCONT');
    await eventually('it leaves the task', () => first.said(id, 'left'));
    await second.kill('SIGTERM');
    const { id: next } = await api.submit('F04, the next');
    await engines.audit({ api, ids: [id, next] });
    expect(await api.task(id)).toEqual(task);
  },
);

fault(
  'F05',
  'the event loop of an agent blocked for longer than its lease and its heartbeats',
  'the broker gives the task to another agent; the blocked one can write nothing more',
  async () => {
    const block = 'const end = performance.now() + 12_000; while (performance.now() < end);';
    engines.say(hangingAt(2, 3));
    const first = await engines.start('agent', onSigusr2(block));
    const { id } = await api.submit('F05');
    await tickAsked('F05', 2);
    await engines.start('agent');
    first.signal('SIGUSR2');
    expect(new Set(await audited(id, 3)).size).toBe(2);
    const task = await api.task(id);
    expect(task.result?.answer).toBe('answer to F05');
    await eventually('it leaves the task', () => first.said(id, 'left'));
    expect(await api.task(id)).toEqual(task);
  },
);

fault(
  'F09',
  'SIGTERM to an agent in mid-tick',
  'it ends the tick, hands the task back with its journal and exits 0; another agent goes on',
  async () => {
    engines.say((question) => thinker(3, question.tick === 2 ? 1_000 : 0)(question));
    const first = await engines.start('agent');
    const { id } = await api.submit('F09');
    await tickAsked('F09', 2);
    expect(await first.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(await api.task(id)).toMatchObject({ status: 'in_queue', worker_id: null, tick: 2 });
    await engines.start('agent');
    expect(await audited(id, 3)).toHaveLength(2);
    expect(asked('F09').map(({ tick }) => tick)).toEqual([1, 2, 3]);
  },
);

fault(
  'F10',
  'SIGTERM to a gateway under load',
  'it is never ready again, answers what it has begun, no 5xx among it, and every 202 is kept',
  async () => {
    engines.say(thinker(1));
    const gateway = await engines.start('gateway');
    const user = randomUUID();
    const load = await engines.stage.api(gateway, user);
    const ids: string[] = [];
    const health: number[] = [];
    const refusals: unknown[] = [];
    const post = () => load.submit('F10', 1).then(({ id }) => ids.push(id));
    const look = async () => {
      const response = await load.request('/health/ready');
      await response.arrayBuffer();
      health.push(response.status);
    };
    const untilClosed = async (step: () => Promise<unknown>) => {
      try {
        for (;;) await step();
      } catch (error) {
        // A connection that is refused or closed before an answer is not an answer.
        if ((error as Error).name !== 'TypeError') refusals.push(error);
      }
    };
    const clients = [...Array.from({ length: 8 }, () => untilClosed(post)), untilClosed(look)];
    await eventually('some are accepted', () => ids.length > 50);
    expect(await gateway.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    await Promise.all(clients);
    expect(refusals).toEqual([]);
    expect(health.join(' ')).toMatch(/^200( 200)*( 503)*$/);
    await engines.start('agent', { AGENT_CONCURRENCY: '8' });
    await engines.audit({ api: await engines.stage.api(engines.gateway, user), ids });
  },
);

fault(
  'F11',
  'SIGTERM twice to an agent in mid-tick, and SIGTERM to agents that are starting',
  'each exits once, with 0, and leaves neither a consumer nor its presence behind',
  async () => {
    engines.say(thinker(2, 500));
    const agent = await engines.start('agent');
    const { id } = await api.submit('F11');
    await tickAsked('F11', 1);
    agent.signal('SIGTERM');
    expect(await agent.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    const env = {
      REDIS_URL: engines.redis.url,
      RABBITMQ_URL: engines.rabbitmq.url,
      QUEUE_NAME: engines.queue,
      // One that is quick enough takes the task.
      MODEL_API_URL: engines.stage.model.url,
    };
    for (const afterMs of [0, 50, 150, 300]) {
      // Before it listens to signals, they are the system's to answer: so it says when it does.
      const listening = atStart(
        `process.on('newListener', (name) => { if (name === 'SIGTERM') console.log('listening'); });`,
      );
      const starting = launchEuglena('agent', engines.stage.dataDir, { ...env, ...listening });
      await eventually('it listens', () => starting.output().includes('listening'));
      await delay(afterMs);
      expect(await starting.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    }
    const { consumerCount } = await engines.onChannel((channel) => channel.checkQueue(engines.queue));
    expect([consumerCount, await api.agents()]).toEqual([0, 0]);
    await engines.start('agent');
    await audited(id, 2);
  },
);

for (const [what, code] of [
  ['an unhandled rejection in an agent', 'void Promise.reject(new Error("unhandled"));'],
  ['an agent that runs out of memory', 'const all = []; for (;;) all.push(new Array(1e5).fill(all.length));'],
] as const) {
  fault('F12', what, 'the process ends with a failure; another agent goes on with the task', async () => {
    engines.say(hangingAt(2, 2));
    const inside = onSigusr2(code).NODE_OPTIONS;
    const first = await engines.start('agent', { NODE_OPTIONS: `--max-old-space-size=256 ${inside}` });
    const { id } = await api.submit(what);
    await tickAsked(what, 2);
    first.signal('SIGUSR2');
    expect(await first.exited).not.toMatchObject({ code: 0 });
    await engines.start('agent');
    expect(new Set(await audited(id, 2)).size).toBe(2);
  });
}

fault(
  'F71',
  'kill -9 of one agent of two',
  'it is counted no more once its presence has run out (3 s here), and its entry is removed',
  async () => {
    const [first] = await Promise.all([engines.start('agent'), engines.start('agent')]);
    await eventually('both are counted', async () => (await api.agents()) === 2);
    await first?.kill('SIGKILL');
    await eventually('one is counted', async () => (await api.agents()) === 1, 4_000);
    const redis = new Redis(engines.redis.url);
    expect(await redis.scard('workers:status')).toBe(1);
    redis.disconnect();
    await engines.audit({ api, ids: [] });
  },
);
