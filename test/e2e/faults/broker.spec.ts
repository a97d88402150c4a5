import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import { eventually } from '../../support/eventually.js';
import { type EuglenaApi } from '../../support/euglena-api.js';
import { askManagement } from '../../support/servers/rabbitmq-management.js';
import { thinker } from '../../support/stage.js';
import { type Engines, openEngines, STARTING_MS } from './engines.js';
import { fault } from './fault.js';

/** How soon clients are back when the broker is, in ms. */
const BACK_MS = 10_000;
const MANY = 2_000;
/** A broker that is stopped and started again takes its time. */
const RESTARTING_MS = 180_000;

let engines: Engines;
beforeAll(async () => {
  engines = await openEngines();
}, STARTING_MS);
afterAll(() => engines.close(), STARTING_MS);
afterEach(async () => {
  engines.say(thinker(1));
  await engines.endOthers();
});

const names = (count: number) => Array.from({ length: count }, (_, index) => `mandate ${index}`);
const agent = (concurrency = 10) => engines.start('agent', { AGENT_CONCURRENCY: `${concurrency}` });

/** Submits one after another until `enough`; answers the ids of those that were accepted. */
async function submitUntil(api: EuglenaApi, mandate: string, enough: (status: number) => boolean) {
  const statuses: number[] = [];
  const ids: string[] = [];
  let status: number;
  do {
    if (ids.length > MANY) throw new Error(`${MANY} submissions and no end`);
    const body = JSON.stringify({ mandate, max_ticks: 5 });
    const headers = { 'content-type': 'application/json' };
    const answer = await api.request('/tasks', { method: 'POST', headers, body });
    const { correlation_id: id } = (await answer.json()) as { correlation_id: string };
    status = answer.status;
    statuses.push(status);
    if (status === 202) ids.push(id);
  } while (!enough(status));
  return { ids, statuses };
}

/** The queue of work, as the broker counts at intervals. */
async function queueOfWork(): Promise<{ consumers?: number; messages?: number }> {
  const path = '/api/queues?columns=name,consumers,messages';
  const answer = await askManagement(engines.rabbitmq.managementUrl, path);
  const queues = (await answer.json()) as { name: string; consumers?: number; messages?: number }[];
  return queues.find(({ name }) => name === engines.queue) ?? {};
}

const consumers = async () => (await queueOfWork()).consumers ?? 0;

/** A policy for the queue of work, through the management API; `null` takes it away. */
async function policy(definition: object | null): Promise<void> {
  const body = JSON.stringify({ pattern: `^${engines.queue}$`, 'apply-to': 'queues', definition });
  const response = await askManagement(
    engines.rabbitmq.managementUrl,
    '/api/policies/%2F/fault',
    definition === null ? { method: 'DELETE' } : { method: 'PUT', body },
  );
  if (!response.ok) throw new Error(`the policy was answered ${response.status}`);
}

fault(
  'F16',
  'the broker is restarted with 1,000 tasks queued and some in hand',
  'all 1,000 end, each tick runs once, gateway and agents are back by themselves within 10 s',
  async () => {
    const api = await engines.newUser();
    const ids: string[] = [];
    for (let batch = 0; batch < 10; batch += 1) ids.push(...(await api.submitAll(names(100))));
    engines.say(thinker(1, 100));
    const { questions } = engines.stage;
    const before = questions.length;
    await Promise.all([agent(), agent()]);
    await eventually('work in hand', () => questions.length > before + 50);
    await engines.rabbitmq.restart();
    const [asked, back] = [questions.length, performance.now()];
    engines.say(thinker(1));
    await eventually('the agents work again', () => questions.length > asked + 20, BACK_MS);
    expect(performance.now() - back).toBeLessThan(BACK_MS);
    const { id } = await api.submit('afterwards');
    await engines.audit({ api, ids: [...ids, id] });
    expect(questions.length - before).toBe(1_001);
  },
  RESTARTING_MS,
);

fault(
  'F18',
  'kill -9 of the broker while tasks are submitted, then its start',
  'every task that was accepted ends once, whether its message was confirmed or not; no refused one exists',
  async () => {
    const api = await engines.newUser();
    let killed = false;
    const submitting = Array.from({ length: 10 }, () =>
      submitUntil(api, 'submitted', (status) => killed && status !== 202),
    );
    const accepted = async () => (await api.quotaUsed()) > 500;
    await eventually('a hundred are accepted', accepted);
    engines.rabbitmq.kill();
    killed = true;
    const outcomes = await Promise.all(submitting);
    expect(new Set(outcomes.flatMap(({ statuses }) => statuses))).toEqual(new Set([202, 503]));
    await engines.rabbitmq.restart();
    await agent();
    await engines.audit({ api, ids: outcomes.flatMap(({ ids }) => ids) });
  },
  RESTARTING_MS,
);

fault(
  'F20',
  'the broker is short of memory (alarm) and reads nothing from those that publish',
  'submissions get 503 at once and leave nothing; all is well afterwards',
  async () => {
    const api = await engines.newUser();
    const ids = await api.submitAll(names(5));
    await engines.rabbitmq.control('set_vm_memory_high_watermark', '0.0001');
    try {
      const first = await submitUntil(api, 'alarmed', (status) => status === 503);
      expect(first.statuses.length).toBeLessThan(10);
      ids.push(...first.ids);
      const since = performance.now();
      const others = await Promise.all(names(20).map((name) => submitUntil(api, name, () => true)));
      expect(performance.now() - since).toBeLessThan(1_000);
      expect(others.flatMap(({ statuses }) => statuses)).toEqual(others.map(() => 503));
    } finally {
      await engines.rabbitmq.control('set_vm_memory_high_watermark', '0.4');
    }
    ids.push(...(await submitUntil(api, 'afterwards', (status) => status === 202)).ids);
    await agent();
    await engines.audit({ api, ids });
  },
  120_000,
);

fault(
  'F21',
  'the queue is at its maximum length and refuses more (by a policy: as shipped it has none)',
  'what the broker refuses gets 503 and leaves nothing; what was accepted ends',
  async () => {
    const api = await engines.newUser();
    await policy({ 'max-length': 5, overflow: 'reject-publish' });
    const submitted = submitUntil(api, 'full', (status) => status === 503);
    const { ids, statuses } = await submitted.finally(() => policy(null));
    expect(statuses.length).toBeLessThan(50);
    await agent();
    await engines.audit({ api, ids });
  },
);

fault(
  'F26',
  'the broker ends an agent’s consumer (its queue is gone)',
  'the agent consumes again by itself, from the queue that it declared anew',
  async () => {
    const api = await engines.newUser();
    const first = await agent();
    await eventually('a consumer', async () => (await consumers()) === 1);
    await engines.onChannel((channel) => channel.deleteQueue(engines.queue));
    await eventually('the end of the consumer', async () => (await consumers()) === 0);
    await eventually('another consumer', async () => (await consumers()) === 1);
    await engines.audit({ api, ids: [(await api.submit('afterwards')).id] });
    expect((await first.kill('SIGTERM')).code).toBe(0);
  },
);
