import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import { readSettings } from '../../../src/config/settings.js';
import { eventually } from '../../support/eventually.js';
import { thinker } from '../../support/stage.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { type Engines, openEngines, STARTING_MS } from './engines.js';
import { fault } from './fault.js';

/** The broker's own default; nothing of ours makes it shorter. */
const CONSUMER_TIMEOUT_MS = 30 * 60_000;

let engines: Engines;
let toBroker: TcpProxy;
let toRedis: TcpProxy;
beforeAll(async () => {
  // The client asks for 10 s; the shorter wish counts.
  engines = await openEngines('heartbeat = 2');
  [toBroker, toRedis] = await Promise.all([
    startTcpProxy(engines.rabbitmq.url),
    startTcpProxy(engines.redis.url),
  ]);
}, STARTING_MS);
afterAll(async () => {
  await Promise.all([toBroker.close(), toRedis.close()]);
  await engines.close();
}, STARTING_MS);
afterEach(async () => {
  engines.say(thinker(1));
  await engines.endOthers();
  [toBroker, toRedis].forEach((proxy) => {
    proxy.cut();
    proxy.heal();
  });
});

const asked = (mandate: string) =>
  engines.stage.questions.filter((question) => question.mandate === mandate).map(({ tick }) => tick);
/** An agent behind the proxies. */
const distant = () => engines.start('agent', { RABBITMQ_URL: toBroker.url, REDIS_URL: toRedis.url });

fault(
  'F22',
  'the connection between an agent and the broker is reset in mid-task',
  'the message goes to another agent, which waits: the lease lives; the first ends the task, no tick runs twice',
  async () => {
    engines.say(thinker(3, 1_000));
    const api = await engines.newUser();
    const first = await distant();
    const { id } = await api.submit('reset');
    await eventually('tick 1', () => asked('reset').length === 1);
    await engines.start('agent');
    toBroker.cut();
    await engines.audit({ api, ids: [id] });
    expect(asked('reset')).toEqual([1, 2, 3]);
    expect(first.said(id, 'completed after 3 ticks')).toBe(true);
  },
);

fault(
  'F23',
  'an agent is cut off from broker and Redis in mid-task, without a word, and comes back after its lease',
  'the broker’s heartbeat ends its connection, another agent takes over, the old one is fenced off; then it serves again',
  async () => {
    const think = thinker(3, 300);
    // The cut-off agent hears from the model when its lease has long ended.
    engines.say((question) =>
      question.tick === 2 && question.times === 1
        ? { action: 'THINK', argument: 'from the past', delayMs: 5_000 }
        : think(question),
    );
    const api = await engines.newUser();
    const old = await distant();
    const { id } = await api.submit('cut off');
    await eventually('tick 2', () => asked('cut off').length === 2);
    toBroker.silence();
    toRedis.silence();
    const other = await engines.start('agent');
    await eventually('another agent ends it', async () => (await api.task(id)).finished_at !== null, 40_000);
    const result = await api.task(id);
    toBroker.heal();
    toRedis.heal();
    await eventually('the old one leaves it', () => old.said(id, 'left (lease_lost)'));
    expect(asked('cut off')).toEqual([1, 2, 2, 3]);
    expect(JSON.stringify(await api.journal(id))).not.toContain('from the past');
    expect(await api.task(id)).toEqual(result);
    await other.kill('SIGTERM');
    const { id: next } = await api.submit('next');
    await engines.audit({ api, ids: [id, next] });
    expect(old.said(next, 'completed')).toBe(true);
  },
  90_000,
);

fault(
  'F25',
  'a task that runs for longer than the broker waits for an acknowledgement',
  'does not happen with what is shipped; where it does, the message comes back, waits, and no tick runs twice',
  async () => {
    expect(readSettings({}).agent.deadlineMs).toBeLessThan(CONSUMER_TIMEOUT_MS);
    await engines.rabbitmq.control(
      'eval',
      '[application:set_env(rabbit, Key, Ms) || {Key, Ms} <- [{consumer_timeout, 1500}, {channel_tick_interval, 200}]].',
    );
    engines.say(thinker(3, 1_000));
    const api = await engines.newUser();
    const agent = await engines.start('agent');
    const { id } = await api.submit('slow');
    await engines.audit({ api, ids: [id] });
    expect(agent.output()).toMatch(/The broker closed a channel: .*timed out/);
    expect(asked('slow')).toEqual([1, 2, 3]);
  },
);
