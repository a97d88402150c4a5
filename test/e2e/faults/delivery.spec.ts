import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import { Redis } from 'ioredis';
import { eventually } from '../../support/eventually.js';
import { type EuglenaApi } from '../../support/euglena-api.js';
import { thinker } from '../../support/stage.js';
import { type Engines, openEngines, STARTING_MS } from './engines.js';
import { fault } from './fault.js';

const DAY_MS = 86_400_000;

let engines: Engines;
let redis: Redis;
beforeAll(async () => {
  engines = await openEngines();
  redis = new Redis(engines.redis.url);
}, STARTING_MS);
afterAll(async () => {
  redis.disconnect();
  await engines.close();
}, STARTING_MS);
afterEach(async () => {
  engines.say(thinker(1));
  await engines.endOthers();
});

const asked = (mandate: string) => engines.stage.questions.filter((question) => question.mandate === mandate);
const envelope = (id: string, mandate: string, more: object = {}) => ({
  mandate,
  max_ticks: 10,
  correlation_id: id,
  ...more,
});

/** A task that was accepted and whose message is gone: the test publishes another one instead. */
async function withoutMessage(api: EuglenaApi, mandate: string): Promise<string> {
  const { id } = await api.submit(mandate);
  await engines.onChannel((channel) => channel.purgeQueue(engines.queue));
  await eventually('the outbox is cleared', async () => (await redis.hlen('tasks:outbox:body')) === 0);
  return id;
}

/** Redis loses a task; answers whose it was. */
async function forget(id: string): Promise<string> {
  const { user_id: owner } = JSON.parse((await redis.get(`task:${id}`)) ?? '{}') as { user_id: string };
  await redis.del(`task:${id}`, `task:${id}:journal`, `task:${id}:lease`);
  await redis.zrem(`tasks:user:${owner}`, id);
  return owner;
}

fault(
  'F15',
  'an agent gets an envelope of a newer version (rolling deploy)',
  'it goes back to the queue as it was, for a newer agent; older ones are served meanwhile',
  async () => {
    const api = await engines.newUser();
    const future = envelope(randomUUID(), 'future', { version: 2 });
    await engines.publish(future);
    await engines.start('agent');
    const { id } = await api.submit('present');
    await engines.audit({ api, ids: [id], parked: 1 });
    const returned = await engines.onChannel((channel) =>
      channel.get(`${engines.queue}.parked.30000`, { noAck: true }),
    );
    expect(returned && JSON.parse(returned.content.toString())).toEqual(future);
    expect([await redis.exists(`task:${future.correlation_id}`), asked('future')]).toEqual([0, []]);
  },
);

fault(
  'F29',
  'poison: not JSON, no mandate, a wrong budget, 16 MiB, an unreadable message of a stored task',
  'each is a dead letter at first sight, the stored task ends as bad_envelope, the agent serves the next',
  async () => {
    const api = await engines.newUser();
    const spoilt = await withoutMessage(api, 'spoilt');
    await engines.publish(
      Buffer.from('not JSON'),
      { correlation_id: randomUUID() },
      envelope(randomUUID(), 'no budget', { max_ticks: 0 }),
      Buffer.alloc(16 * 2 ** 20, 'a'),
      envelope(spoilt, ''),
    );
    const agent = await engines.start('agent');
    const { id: next } = await api.submit('next');
    await engines.audit({ api, ids: [spoilt, next], dead: 5 });
    expect(await api.task(spoilt)).toMatchObject({ status: 'error', error: { code: 'bad_envelope' } });
    expect(await api.task(next)).toMatchObject({ status: 'completed' });
    expect((await engines.takeDeadLetters()).sort()).toEqual([
      'larger than 1048576 bytes',
      'mandate must be a text of 1 to 50000 characters',
      'mandate must be a text of 1 to 50000 characters',
      'max_ticks must be an integer from 1 to 200',
      'not JSON in UTF-8',
    ]);
    expect((await agent.kill('SIGTERM')).code).toBe(0);
  },
);

for (const agents of [1, 2]) {
  fault(
    'F30',
    `the same envelope 100 times at once, to ${agents === 1 ? 'one agent' : 'two agents'}`,
    'one run, each tick decided once and charged once; the other 99 and their copies are gone in the end',
    async () => {
      const mandate = `copied for ${agents}`;
      engines.say(thinker(3, 300));
      const api = await engines.newUser();
      const { id } = await api.submit(mandate);
      const audited = { api, ids: [id] };
      await expect(engines.audit({ ...audited, timeoutMs: 0 })).rejects.toThrow(/has not ended/);
      const start = () => engines.start('agent', { AGENT_CONCURRENCY: '10' });
      await Promise.all(Array.from({ length: agents }, start));
      await engines.publish(...Array.from({ length: 100 }, () => envelope(id, mandate)));
      await engines.audit(audited);
      expect(asked(mandate).map(({ tick }) => tick)).toEqual([1, 2, 3]);
      expect(await api.task(id)).toMatchObject({ status: 'completed', usage: { ticks: 3 } });
    },
  );
}

fault(
  'F31',
  'a message that kills its agent each time',
  'five agents die of it; then it is a dead letter, its task says why, the quota is settled',
  async () => {
    engines.say((question) => (question.mandate === 'killer' ? 'hang' : thinker(1)(question)));
    const api = await engines.newUser();
    const { id } = await api.submit('killer');
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const agent = await engines.start('agent');
      await eventually(`attempt ${attempt}`, () => asked('killer').length === attempt, 30_000);
      await agent.kill('SIGKILL');
    }
    await engines.start('agent');
    await engines.audit({ api, ids: [id], dead: 1 });
    expect(asked('killer')).toHaveLength(5);
    expect(await api.task(id)).toMatchObject({
      status: 'error',
      error: { code: 'attempts_exhausted', message: expect.stringContaining('gave up after 5 attempts') },
    });
    expect(await engines.takeDeadLetters()).toEqual(['gave up after 5 attempts']);
  },
  150_000,
);

fault(
  'F32',
  'Redis has lost the record of a queued task, and a task comes that it never had',
  'the record is made again from the envelope; both are worked on, the first is charged to its user',
  async () => {
    const api = await engines.newUser();
    const { id } = await api.submit('forgotten');
    await eventually('the outbox is cleared', async () => (await redis.hlen('tasks:outbox:body')) === 0);
    await forget(id);
    const unknown = randomUUID();
    await engines.publish(envelope(unknown, 'unknown'));
    await engines.start('agent');
    await engines.audit({ api, ids: [id], foreignIds: [unknown] });
    expect(await api.task(id)).toMatchObject({ status: 'completed', mandate: 'forgotten' });
  },
);

fault(
  'F33',
  'messages in reverse order, one a day old, one older than tasks are kept',
  'order and a day do not matter; the oldest ends as expired without a call, its ticks are given back',
  async () => {
    const api = await engines.newUser();
    const names = ['first', 'second', 'yesterday', 'last week'];
    const ids: string[] = [];
    for (const name of names) ids.push(await withoutMessage(api, name));
    const envelopes = await Promise.all(
      ids.map(async (id, index) => {
        const created = Date.now() - [0, 0, DAY_MS, 8 * DAY_MS][index]!;
        const more = { user_id: await forget(id), created_at: new Date(created).toISOString() };
        return envelope(id, names[index] ?? '', more);
      }),
    );
    await engines.publish(...envelopes.reverse());
    await engines.start('agent');
    await engines.audit({ api, ids });
    const tasks = await Promise.all(ids.map((id) => api.task(id)));
    expect(tasks.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed', 'error']);
    expect(tasks[3]).toMatchObject({ error: { code: 'expired' }, usage: { ticks: 0 } });
    expect(asked('last week')).toEqual([]);
  },
);

fault(
  'F34',
  'the messages of a cancelled task and of one that has ended are delivered',
  'both are acknowledged without a call of the model; nothing changes',
  async () => {
    const api = await engines.newUser();
    const { id: cancelled } = await api.submit('cancelled');
    await api.cancel(cancelled);
    const { id: ended } = await api.submit('ended');
    await engines.start('agent');
    await engines.audit({ api, ids: [cancelled, ended] });
    const before = await api.task(ended);
    await engines.publish(envelope(ended, 'ended'), envelope(ended, 'with other words'));
    await engines.audit({ api, ids: [cancelled, ended] });
    expect(await api.task(ended)).toEqual(before);
    expect((await api.task(cancelled)).status).toBe('cancelled');
    expect(['cancelled', 'ended', 'with other words'].map((name) => asked(name).length)).toEqual([0, 1, 0]);
  },
);
