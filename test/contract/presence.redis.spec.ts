import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisPresence } from '../../src/ports/presence/redis-presence.js';
import { RedisConnection } from '../../src/ports/redis/redis-connection.js';
import { type RedisServer, startRedis } from '../support/servers/redis-server.js';
import { presenceContract, type PresenceHarness } from './presence.contract.js';

let server: RedisServer;
let raw: Redis;
beforeAll(async () => {
  server = await startRedis();
  raw = new Redis(server.url);
});
afterAll(async () => {
  raw.disconnect();
  await server.stop();
});

/** Each test has its own prefix; every instance has its own connection, as another process would. */
async function open(): Promise<PresenceHarness> {
  const prefix = `test-${randomUUID()}:`;
  const connections: RedisConnection[] = [];
  const instance = () => {
    const connection = new RedisConnection(server.url, prefix);
    connections.push(connection);
    return new RedisPresence(connection);
  };
  return {
    presence: instance(),
    again: async () => instance(),
    // Redis may let a key live a moment longer than its time.
    elapse: (ms) => delay(ms + 20),
    stored: async () => {
      const said = (await raw.keys(`${prefix}worker:agent:*`)).map((key) => key.split(':worker:agent:')[1]);
      return new Set([...said, ...(await raw.smembers(`${prefix}workers:status`))]).size;
    },
    close: async () => {
      connections.forEach((connection) => connection.close());
      const keys = await raw.keys(`${prefix}*`);
      if (keys.length > 0) await raw.del(keys);
    },
  };
}

presenceContract('Redis', open);

/** Not portable: the keys are Redis's own. */
describe('presence on Redis, as other programs see it', () => {
  it('keeps a set of ids and a key with a time to live for each', async () => {
    const prefix = `test-${randomUUID()}:`;
    const connection = new RedisConnection(server.url, prefix);
    const presence = new RedisPresence(connection);
    const startedAt = Date.UTC(2026, 0, 15);
    const worker = {
      workerId: 'agent-1',
      state: 'working',
      running: 1,
      capacity: 8,
      pid: 7,
      startedAt,
    } as const;
    await presence.beat(worker, 30_000);
    expect(await raw.smembers(`${prefix}workers:status`)).toEqual(['agent-1']);
    expect(await raw.pttl(`${prefix}worker:agent:agent-1`)).toBeGreaterThan(29_000);
    expect(JSON.parse((await raw.get(`${prefix}worker:agent:agent-1`)) ?? '')).toEqual({
      worker_id: 'agent-1',
      state: 'working',
      running: 1,
      capacity: 8,
      pid: 7,
      started_at: '2026-01-15T00:00:00.000Z',
    });
    await presence.leave('agent-1');
    expect(await raw.keys(`${prefix}*`)).toEqual([]);
    connection.close();
  });

  it('counts a worker that says something else', async () => {
    const prefix = `test-${randomUUID()}:`;
    const connection = new RedisConnection(server.url, prefix);
    for (const [id, said] of Object.entries({ a: '1', b: '', c: 'null', d: '{"state":"busy","pid":-1}' })) {
      await raw.sadd(`${prefix}workers:status`, id);
      await raw.set(`${prefix}worker:agent:${id}`, said, 'PX', 30_000);
    }
    const unknown = { state: 'free', running: 0, capacity: 0, pid: 0, startedAt: 0 };
    expect(await new RedisPresence(connection).list()).toEqual(
      ['a', 'b', 'c', 'd'].map((workerId) => ({ workerId, ...unknown })),
    );
    await raw.del(await raw.keys(`${prefix}*`));
    connection.close();
  });
});
