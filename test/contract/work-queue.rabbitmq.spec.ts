import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { connect, type Channel } from 'amqplib';
import { systemClock } from '../../src/config/system-clock.js';
import { RabbitMqWorkQueue } from '../../src/ports/work-queue/rabbitmq-work-queue.js';
import {
  type Delivery,
  UnconfirmedPublish,
  type WorkQueue,
} from '../../src/ports/work-queue/work-queue.port.js';
import { askManagement } from '../support/servers/rabbitmq-management.js';
import { type RabbitMqServer, startRabbitMq } from '../support/servers/rabbitmq-server.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { workQueueContract } from './work-queue.contract.js';
import { gate, numbered, Scene, textsOf, type WorkQueueHarness } from './work-queue.harness.js';

const DELIVERY_LIMIT = 3;

let server: RabbitMqServer;
beforeAll(async () => {
  server = await startRabbitMq();
}, 90_000);
afterAll(() => server.stop());

class RabbitMqHarness implements WorkQueueHarness {
  readonly deliveryLimit = DELIVERY_LIMIT;
  readonly visibilityMs = 100;
  readonly name = `euglena.test.${randomUUID()}`;
  /** The network between each instance and the broker; cutting it is what the broker sees of a crash. */
  readonly wires = new Map<WorkQueue, TcpProxy>();

  private constructor(private first: WorkQueue | undefined) {}

  static async open(): Promise<RabbitMqHarness> {
    const harness = new RabbitMqHarness(undefined);
    harness.first = await harness.again();
    return harness;
  }

  get queue(): WorkQueue {
    if (this.first === undefined) throw new Error('not open');
    return this.first;
  }

  async again(): Promise<WorkQueue> {
    const wire = await startTcpProxy(server.url);
    const queue = new RabbitMqWorkQueue(systemClock, {
      url: wire.url,
      managementUrl: server.managementUrl,
      queueName: this.name,
      deliveryLimit: DELIVERY_LIMIT,
      retryDelayMs: 20,
      newQueueRestMs: 0,
    });
    this.wires.set(queue, wire);
    await queue.ready();
    return queue;
  }

  now(): number {
    return systemClock.now();
  }

  async elapse(ms: number): Promise<void> {
    await delay(ms);
  }

  async crash(queue: WorkQueue): Promise<void> {
    await this.wires.get(queue)?.close();
    await queue.close();
  }

  async close(): Promise<void> {
    for (const [queue, wire] of this.wires) {
      await queue.close();
      await wire.close();
    }
    await onChannel(async (channel) => {
      await channel.deleteQueue(this.name);
      await channel.deleteQueue(`${this.name}.dead`);
    });
  }
}

/** What another AMQP client does. */
async function onChannel(work: (channel: Channel) => Promise<void>): Promise<void> {
  const connection = await connect(server.url);
  try {
    await work(await connection.createChannel());
  } finally {
    await connection.close();
  }
}

/** How often the broker did these in its life. It counts at intervals: two equal readings are the present. */
async function operations(
  managementUrl: string,
): Promise<Record<'channel_created' | 'queue_declared', number>> {
  const read = async () => {
    const answer = await askManagement(managementUrl, '/api/overview');
    return ((await answer.json()) as { churn_rates: Record<string, number> }).churn_rates;
  };
  let last = await read();
  for (;;) {
    await delay(500);
    const { channel_created = 0, queue_declared = 0 } = await read();
    if (last.channel_created === channel_created && last.queue_declared === queue_declared) {
      return { channel_created, queue_declared };
    }
    last = { channel_created, queue_declared };
  }
}

workQueueContract('RabbitMQ', () => RabbitMqHarness.open());

describe('work queue on RabbitMQ, beyond the contract', () => {
  let harness: RabbitMqHarness;
  let scene: Scene;
  beforeEach(async () => {
    harness = await RabbitMqHarness.open();
    scene = new Scene(harness);
  });
  afterEach(() => harness.close());

  const answers = () =>
    harness.queue.ping().then(
      () => true,
      () => false,
    );

  // Not portable: other adapters have no other clients.
  it('hands out and defers what another AMQP client published with nothing but a body', async () => {
    await onChannel(async (channel) => {
      channel.sendToQueue(harness.name, Buffer.from('foreign'));
      await channel.checkQueue(harness.name);
    });
    const { received } = await scene.collect((delivery) =>
      delivery.deliveries === 1 ? delivery.defer(20) : delivery.ack(),
    );
    await scene.until('both deliveries', () => received.length === 2);
    expect(received).toMatchObject([
      { text: 'foreign', deliveries: 1 },
      { text: 'foreign', deliveries: 2 },
    ]);
  });

  // Not portable: the connection is this adapter's own.
  it('delivers again after the connection was cut, and works on by itself', async () => {
    const { received } = await scene.collect(
      (delivery) => (delivery.deliveries === 1 ? new Promise<void>(() => undefined) : delivery.ack()),
      { concurrency: 2 },
    );
    await scene.publish('in hand');
    await scene.until('the first delivery', () => received.length === 1);
    harness.wires.get(harness.queue)?.cut();
    await scene.until('the second delivery', () => received.length === 2);
    expect(received[1]).toMatchObject({ text: 'in hand', deliveries: 2 });
    await scene.depthIs({ ready: 0, dead: 0 });
  });

  // Not portable: the queue is deleted under the adapter.
  it('does not take a message that has no queue to go to, and declares the queue again', async () => {
    await onChannel(async (channel) => void (await channel.deleteQueue(harness.name)));
    await expect(scene.publish('lost')).rejects.toMatchObject({ code: 'engine_unavailable' });
    await scene.publish('kept');
    await scene.depthIs({ ready: 1 });
  });

  // Not portable: the queue is deleted under the adapter.
  it('consumes again by itself when the broker ended its consumer, from a queue that it declared again', async () => {
    const { received } = await scene.collect();
    await onChannel(async (channel) => void (await channel.deleteQueue(harness.name)));
    const consumers = async () => {
      let count = 0;
      await onChannel(async (channel) => {
        channel.on('error', () => undefined);
        count = await channel.checkQueue(harness.name).then(
          ({ consumerCount }) => consumerCount,
          () => 0,
        );
      });
      return count === 1;
    };
    await scene.until('a consumer', consumers);
    await scene.publish('served');
    await scene.until('the delivery', () => received.length === 1);
  });

  // Not portable: what became of a message is unknown only when a network lies between.
  it.each([
    ['the broker is silent', (wire: TcpProxy) => wire.silence()],
    ['the connection ends', (wire: TcpProxy) => wire.cut()],
  ])('says that a message is unconfirmed when %s behind it, and takes others afterwards', async (_, harm) => {
    const wire = harness.wires.get(harness.queue);
    const observer = await harness.again();
    await scene.publish('first');
    wire?.delay(60_000);
    const outcome = scene.publish('unconfirmed').catch((error: unknown) => error);
    await scene.depthIs({ ready: 2 }, observer);
    if (wire !== undefined) harm(wire);
    expect(await outcome).toBeInstanceOf(UnconfirmedPublish);
    wire?.cut();
    wire?.heal();
    await scene.until('it is connected', answers);
    await scene.publish('last');
    await scene.depthIs({ ready: 3 }, observer);
  });

  it('says that a message certainly is not queued when it cannot be sent', async () => {
    harness.wires.get(harness.queue)?.refuse();
    await scene.until('the connection is lost', async () => !(await answers()));
    const refusal = await scene.publish('never').catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'engine_unavailable' });
    expect(refusal).not.toBeInstanceOf(UnconfirmedPublish);
    harness.wires.get(harness.queue)?.heal();
    await scene.until('it is connected', answers);
    await scene.depthIs({ ready: 0 });
  });

  // Not portable: counts the broker's operations.
  it('declares one parking queue for a hundred messages that are deferred at once', async () => {
    if (server.managementUrl === null) return;
    const { managementUrl } = server;
    for (const text of numbered(100)) await scene.publish(text);
    const before = await operations(managementUrl);
    await scene.collect((delivery) => (delivery.deliveries === 1 ? delivery.defer(300) : delivery.ack()), {
      concurrency: 100,
    });
    await scene.depthIs({ ready: 0, dead: 0 });
    const after = await operations(managementUrl);
    // Those are the consumer's own and the readings of the depth.
    expect(after.queue_declared - before.queue_declared).toBeLessThan(50);
    expect(after.channel_created - before.channel_created).toBeLessThan(50);
  });

  // Not portable: how the settings of this engine can be wrong.
  it.each([
    ['a wrong password', (url: URL) => (url.password = 'topsecret'), /user name, the password/],
    ['an unknown virtual host', (url: URL) => (url.pathname = '/nowhere'), /no such virtual host/],
  ])('says at start what is wrong with %s, without the password', async (_, spoil, sentence) => {
    const url = new URL(server.url);
    spoil(url);
    const queue = new RabbitMqWorkQueue(systemClock, {
      url: url.href,
      managementUrl: null,
      queueName: harness.name,
    });
    const refusal = await queue
      .ready()
      .catch((error: unknown) => error)
      .finally(() => queue.close());
    expect(refusal).toMatchObject({ name: 'EuglenaError', code: 'engine_unavailable' });
    expect(String(refusal)).toMatch(sentence);
    expect(String(refusal)).not.toMatch(/topsecret|guest/);
  });

  it('says at start that the queue exists with other arguments', async () => {
    const queueName = `${harness.name}.classic`;
    await onChannel(async (channel) => void (await channel.assertQueue(queueName, { durable: true })));
    const queue = new RabbitMqWorkQueue(systemClock, { url: server.url, managementUrl: null, queueName });
    await expect(queue.ready()).rejects.toThrow(/exists on the broker with other arguments \(x-/);
    await onChannel(async (channel) => {
      await channel.deleteQueue(queueName);
      await channel.deleteQueue(`${queueName}.dead`);
    });
  });

  // Not portable: only a broker of our own can be restarted.
  it('loses none of 200 messages over a restart of the broker, and the consumer comes back by itself', async () => {
    if (server.restart === undefined) return;
    await Promise.all(numbered(200).map((text) => scene.publish(text)));
    const restarted = gate();
    const hold = async (delivery: Delivery) => {
      await restarted.opened;
      await delivery.ack();
    };
    const { received } = await scene.collect(hold, { concurrency: 5 });
    const { received: elsewhere } = await scene.collect(hold, {
      concurrency: 50,
      queue: await harness.again(),
    });
    await scene.until('the first deliveries', () => received.length === 5 && elsewhere.length === 50);
    await server.restart();
    restarted.open();
    const texts = () => new Set(textsOf([...received.slice(5), ...elsewhere.slice(50)]));
    await scene.until('all of them again', () => texts().size >= 200);
    await scene.depthIs({ ready: 0, dead: 0 });
  }, 120_000);
});
