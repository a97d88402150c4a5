import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { findBreak } from '../../src/domain/journal.js';
import { RedisConnection } from '../../src/ports/redis/redis-connection.js';
import { RedisTaskStore } from '../../src/ports/task-store/redis-task-store.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { eventually } from '../support/eventually.js';
import { type PrivateRedisServer, startPrivateRedis } from '../support/servers/redis-server.js';
import { Tasks } from './task-store.harness.js';
import { LEASE_MS, RedisHarness } from './task-store.redis-harness.js';

const refusal = (message: string | RegExp) => ({
  code: 'engine_unavailable',
  message: typeof message === 'string' ? message : expect.stringMatching(message),
});

/** Not portable: how the server is taken away or made to refuse is its own affair. */
describe('task store on Redis, when the server fails', () => {
  let own: PrivateRedisServer;
  let harness: RedisHarness;
  let tasks: Tasks;
  beforeAll(async () => {
    own = await startPrivateRedis('--enable-protected-configs', 'yes');
  });
  afterAll(() => own.stop());
  beforeEach(async () => {
    harness = await RedisHarness.open(own.url);
    tasks = new Tasks(harness);
  });
  afterEach(() => harness.close());
  const failsInTime = async (attempt: Promise<unknown>, message: RegExp) => {
    const started = performance.now();
    await expect(attempt).rejects.toMatchObject(refusal(message));
    expect(performance.now() - started).toBeLessThan(3_500);
  };

  it('keeps what was committed over a crash of the server', async () => {
    const finished = await tasks.finish('t-1');
    const work = await tasks.step(
      await tasks.claim('t-2', 'agent-1', 60_000),
      tasks.accepted(),
      tasks.tick(),
    );
    await own.restart();
    const found = await eventually('the task', () => harness.store.find('t-1').catch(() => null));
    expect(found).toEqual(finished);
    const journal = await harness.store.journal('t-2', 0, 10);
    expect([journal.length, findBreak(journal)]).toEqual([work.record.head.seq, null]);
    expect(await harness.store.takeSettlements({ limit: 9, holdMs: 50 })).toHaveLength(1);
  });

  it('says so in time while the server is down, and serves and watches again by itself', async () => {
    const submitted = await tasks.submit('t-1');
    let hints = 0;
    harness.store.watch('t-1', () => (hints += 1));
    await own.kill();
    await failsInTime(harness.store.find('t-1'), /cannot be reached/);
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        failsInTime(tasks.submit(`lost-${index}`), /cannot be reached/),
      ),
    );
    await failsInTime(harness.store.ping(), /cannot be reached/);
    await own.restart();
    await eventually('the server back', () =>
      harness.store.ping().then(
        () => true,
        () => false,
      ),
    );
    expect(await harness.store.find('t-1')).toEqual(submitted);
    // What may have changed meanwhile is told once the channel is heard again.
    await eventually('a hint', () => hints > 0);
  });

  it('says so in time while the server is silent, also to those who come later', async () => {
    await tasks.submit('t-1');
    own.pause();
    const first = failsInTime(harness.store.find('t-1'), /in time|cannot be reached/);
    await delay(500);
    const second = failsInTime(harness.store.find('t-1'), /in time|cannot be reached/);
    await Promise.all([first, second]);
    own.resume();
    await eventually('the server back', () =>
      harness.store.ping().then(
        () => true,
        () => false,
      ),
    );
    expect(await harness.store.find('t-1')).not.toBeNull();
  });

  it('makes no change that was given up, once a server that was silent goes on', async () => {
    const { store } = harness;
    await store.takeSettlements({ limit: 9, holdMs: 50 });
    own.pause();
    await failsInTime(tasks.submit('t-1', 'alice', true), /in time|cannot be reached/);
    own.resume();
    await eventually('the server back', () => tasks.submit('t-2', 'alice', true).catch(() => null));
    expect(await store.find('t-1')).toBeNull();
    expect(await harness.raw.keys(`${harness.prefix}*t-1*`)).toEqual([]);
  });

  it('takes its own clock for wrong when it stood still, as in a machine that slept', async () => {
    const { store } = harness;
    await store.takeSettlements({ limit: 9, holdMs: 50 });
    const now = performance.now.bind(performance);
    const slept = jest.spyOn(performance, 'now').mockImplementation(() => now() - 3_600_000);
    try {
      await expect(tasks.submit('t-1', 'alice', true)).rejects.toMatchObject(refusal(/too long/));
      expect(await store.find('t-1')).toBeNull();
      expect(await tasks.submit('t-1', 'alice', true)).toEqual(await store.find('t-1'));
    } finally {
      slept.mockRestore();
    }
  });

  it('holds nothing for those who gave up, once a server that was silent goes on', async () => {
    const { store } = harness;
    const options = { limit: 9, olderThanMs: 0, holdMs: 60_000 };
    expect(await store.takeOutbox(options)).toEqual([]);
    await tasks.submit('t-1', 'alice', true);
    own.pause();
    await failsInTime(store.takeOutbox(options), /in time|cannot be reached/);
    own.resume();
    const taken = await eventually('the server back', () => store.takeOutbox(options).catch(() => null));
    expect(taken).toHaveLength(1);
  });

  it.each([
    ['maxmemory', '1', '0', /memory limit/],
    ['min-replicas-to-write', '1', '0', /too few of its replicas/],
  ])('writes nothing of a change that %s refuses', async (setting, refusing, usual, message) => {
    const submitted = await tasks.submit('t-1');
    const work = await tasks.claim('t-1', 'agent-1', 60_000);
    await harness.raw.config('SET', setting, refusing);
    await expect(tasks.step(work, tasks.accepted(), tasks.tick())).rejects.toMatchObject(refusal(message));
    await expect(tasks.submit('t-2', 'alice', true)).rejects.toMatchObject(refusal(message));
    await harness.raw.config('SET', setting, usual);
    expect(await harness.store.find('t-1')).toEqual(submitted);
    expect(await harness.raw.keys(`${harness.prefix}*t-2*`)).toEqual([]);
    expect(await harness.store.takeOutbox({ limit: 9, olderThanMs: 0, holdMs: 50 })).toEqual([]);
  });

  it('says that the disk takes no more', async () => {
    const folder = temporaryDataDir();
    await harness.raw.config('SET', 'save', '3600 1');
    await harness.raw.config('SET', 'dir', folder.path);
    folder.remove();
    await harness.raw.bgsave();
    const failed = async () => (await harness.raw.info('persistence')).includes('last_bgsave_status:err');
    await eventually('a failed save', failed);
    await expect(tasks.submit('t-1')).rejects.toMatchObject(refusal(/cannot save its data/));
    expect(await harness.raw.keys(`${harness.prefix}*`)).toEqual([]);
    await harness.raw.config('SET', 'save', '');
    await tasks.submit('t-1');
  });

  it('says that it met a replica', async () => {
    await harness.raw.replicaof('127.0.0.1', 1);
    await expect(tasks.submit('t-1')).rejects.toMatchObject(refusal(/read-only replica/));
    await harness.raw.replicaof('NO', 'ONE');
    await eventually('the primary', () =>
      tasks.submit('t-1').then(
        () => true,
        () => false,
      ),
    );
  });
});

/** Not portable: passwords are the server's own. */
describe('task store on Redis, with a password', () => {
  let own: PrivateRedisServer;
  beforeAll(async () => {
    own = await startPrivateRedis('--requirepass', 'r1ght-secret');
  });
  afterAll(() => own.stop());
  const connect = (start: string) => new RedisConnection(own.url.replace('redis://', start));

  it.each(['redis://', 'redis://:wr0ng-secret@'])('says in one line that %s is refused', async (start) => {
    const connection = connect(start);
    const store = new RedisTaskStore(connection, LEASE_MS);
    const error: unknown = await store.find('t-1').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject(
      refusal(/^Redis at 127\.0\.0\.1:\d+ refuses the user name or password in REDIS_URL\.$/),
    );
    expect(inspect(error, { depth: null })).not.toMatch(/secret/);
    await store.close();
    connection.close();
  });

  it('serves who has it', async () => {
    const connection = connect('redis://:r1ght-secret@');
    await expect(connection.ping()).resolves.toBeUndefined();
    connection.close();
  });
});
