import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { systemClock } from '../../src/config/system-clock.js';
import { findBreak } from '../../src/domain/journal.js';
import { RedisConnection } from '../../src/ports/redis/redis-connection.js';
import { RedisTaskStore } from '../../src/ports/task-store/redis-task-store.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { eventually } from '../support/eventually.js';
import {
  type PrivateRedisServer,
  type RedisServer,
  startPrivateRedis,
  startRedis,
} from '../support/servers/redis-server.js';
import { taskStoreContract } from './task-store.contract.js';
import { Tasks, type TaskStoreHarness } from './task-store.harness.js';

const LEASE_MS = 300;

/** Each harness has its own prefix; every instance has its own connections, as another process would. */
class RedisHarness implements TaskStoreHarness {
  readonly clock = systemClock;
  readonly leaseMs = LEASE_MS;
  readonly prefix = `test-${randomUUID()}:`;
  readonly raw: Redis;
  private readonly opened: [RedisTaskStore, RedisConnection][] = [];
  readonly store: RedisTaskStore;

  private constructor(private readonly url: string) {
    this.raw = new Redis(url, { lazyConnect: true });
    // A server that the test takes away is no news.
    this.raw.on('error', () => undefined);
    this.store = this.instance();
  }

  static async open(url: string): Promise<RedisHarness> {
    const harness = new RedisHarness(url);
    await harness.store.listen();
    return harness;
  }

  async again(): Promise<TaskStore> {
    const store = this.instance();
    await store.listen();
    return store;
  }

  elapse(ms: number): Promise<void> {
    return delay(ms);
  }

  async close(): Promise<void> {
    for (const [store, connection] of this.opened) {
      await store.close();
      connection.close();
    }
    const keys = await this.raw.keys(`${this.prefix}*`);
    if (keys.length > 0) await this.raw.del(keys);
    this.raw.disconnect();
  }

  private instance(): RedisTaskStore {
    const connection = new RedisConnection(this.url, this.prefix);
    const store = new RedisTaskStore(connection, LEASE_MS);
    this.opened.push([store, connection]);
    return store;
  }
}

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
