import { randomUUID } from 'node:crypto';
import amqp, { type Channel } from 'amqplib';
import { Redis } from 'ioredis';
import { startRabbitMq } from './servers/rabbitmq-server.js';
import { type PrivateRedisServer, startPrivateRedis } from './servers/redis-server.js';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';

/** A Redis of the test's own and a RabbitMQ, each with its network in the test's hands, and what looks behind them. */
export interface EnginesOnTheWire {
  readonly redis: PrivateRedisServer;
  /** Another client of that Redis. */
  readonly raw: Redis;
  readonly rabbitmqUrl: string;
  /** Another client of that RabbitMQ. */
  readonly broker: Channel;
  readonly wires: { readonly redis: TcpProxy; readonly rabbitmq: TcpProxy };
  /** The name of a queue that nobody uses; it is gone with `clean`. */
  freshQueue(): string;
  /** Heals the network, empties Redis and deletes the queues. */
  clean(): Promise<void>;
  stop(): Promise<void>;
}

export async function startEnginesOnTheWire(): Promise<EnginesOnTheWire> {
  const [redis, rabbitmq] = await Promise.all([
    startPrivateRedis('--enable-protected-configs', 'yes'),
    startRabbitMq(),
  ]);
  const raw = new Redis(redis.url);
  // A server that the test takes away is no news.
  raw.on('error', () => undefined);
  const connection = await amqp.connect(rabbitmq.url);
  const broker = await connection.createChannel();
  const wires = { redis: await startTcpProxy(redis.url), rabbitmq: await startTcpProxy(rabbitmq.url) };
  const queues: string[] = [];
  return {
    redis,
    raw,
    rabbitmqUrl: rabbitmq.url,
    broker,
    wires,
    freshQueue: () => {
      const name = `e2e.${randomUUID()}`;
      queues.push(name);
      return name;
    },
    clean: async () => {
      for (const wire of Object.values(wires)) wire.heal();
      await raw.flushall();
      for (const queue of queues.splice(0)) {
        await broker.deleteQueue(queue);
        await broker.deleteQueue(`${queue}.dead`);
      }
    },
    stop: async () => {
      await Promise.all(Object.values(wires).map((wire) => wire.close()));
      raw.disconnect();
      await connection.close();
      await Promise.all([redis.stop(), rabbitmq.stop()]);
    },
  };
}

/** Which components a role's `/health/ready` calls down, and its status. */
export async function readinessOf(origin: string): Promise<{ status: number; down: string[] }> {
  const response = await fetch(`${origin}/health/ready`);
  const { components } = (await response.json()) as { components: Record<string, { status: string }> };
  const down = Object.keys(components).filter((name) => components[name]?.status === 'down');
  return { status: response.status, down };
}
