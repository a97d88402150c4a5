import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { systemClock } from '../../src/config/system-clock.js';
import { RedisConnection } from '../../src/ports/redis/redis-connection.js';
import { RedisTaskStore } from '../../src/ports/task-store/redis-task-store.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { type TaskStoreHarness } from './task-store.harness.js';

export const LEASE_MS = 300;

/** Each harness has its own prefix; every instance has its own connections, as another process would. */
export class RedisHarness implements TaskStoreHarness {
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
