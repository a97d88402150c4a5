import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type RedisServer, startRedis } from '../support/servers/redis-server.js';
import { taskStoreContract } from './task-store.contract.js';
import { Tasks } from './task-store.harness.js';
import { RedisHarness } from './task-store.redis-harness.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

taskStoreContract('Redis', () => RedisHarness.open(server.url));

/** Not portable: the keys are Redis's own. */
describe('task store on Redis, as other programs see it', () => {
  let harness: RedisHarness;
  let tasks: Tasks;
  beforeEach(async () => {
    harness = await RedisHarness.open(server.url);
    tasks = new Tasks(harness);
  });
  afterEach(() => harness.close());

  it('keeps a task as JSON under its id, and its journal as a stream', async () => {
    const { prefix, raw } = harness;
    await tasks.finish('t-1');
    expect(JSON.parse((await raw.get(`${prefix}task:t-1`)) ?? '')).toMatchObject({
      correlation_id: 't-1',
      status: 'completed',
      mandate: 'Find out about t-1',
      user_id: 'alice',
      result: { answer: '42' },
    });
    const journal = await raw.xrange(`${prefix}task:t-1:journal`, '-', '+');
    expect(journal.map(([id]) => id)).toEqual(['1-0', '2-0', '3-0', '4-0']);
    expect(JSON.parse(journal[3]?.[1][1] ?? '')).toMatchObject({ seq: 4, type: 'finished' });
    expect(await raw.hgetall(`${prefix}task:t-1:lease`)).toMatchObject({ token: '1', expires_at: '0' });
  });

  it('leaves nothing of a task behind that it purged, withdrew and cleared', async () => {
    const { prefix, raw, store } = harness;
    await tasks.finish('t-1');
    await tasks.submit('t-2', 'alice', true);
    await delay(5);
    expect(await store.withdraw('t-2')).toBe(true);
    expect(await store.purge(tasks.now() + 1, 10)).toEqual(['t-1']);
    await store.clearPurged(await store.takePurged({ limit: 9, holdMs: 1_000 }));
    expect(await raw.keys(`${prefix}*`)).toEqual([]);
  });

  it('looks at so many tasks at most, and goes on behind them', async () => {
    const { prefix, raw, store } = harness;
    const record = await tasks.submit('old');
    const fields = Array.from({ length: 1_000 }, (_, index) => [
      record.createdAt + 1 + index,
      `lost-${index}`,
    ]);
    await raw.zadd(`${prefix}tasks:user:alice`, ...fields.flat());
    const first = await store.list('alice', { limit: 5 });
    expect([first.tasks.length, first.nextCursor === null]).toEqual([0, false]);
    const second = await store.list('alice', { limit: 5, cursor: first.nextCursor ?? undefined });
    expect(second.tasks.map(({ correlationId }) => correlationId)).toEqual(['old']);
    expect(second.nextCursor).toBeNull();
  });

  it('goes on after the server forgot its scripts', async () => {
    await tasks.submit('t-1');
    await harness.raw.script('FLUSH');
    await tasks.submit('t-2');
    expect((await harness.store.list('alice', { limit: 5 })).tasks).toHaveLength(2);
  });
});
