import { Logger } from '@nestjs/common';
import { type Channel, type GetMessage } from 'amqplib';
import { type Clock } from '../../domain/clock.js';
import { BrokerRefusal, RabbitConnection } from './rabbitmq-connection.js';
import { RabbitConsumer } from './rabbitmq-consumer.js';
import { exhaustion } from './rabbitmq-delivery.js';
import { type BrokerFigures, RabbitManagement } from './rabbitmq-management.js';
import { RabbitPublisher } from './rabbitmq-publisher.js';
import { DEAD_AT_HEADER, deadQueueOf, REASON_HEADER } from './rabbitmq-topology.js';
import {
  type Consumer,
  type DeadLetter,
  type Delivery,
  type QueueDepth,
  type WorkQueue,
} from './work-queue.port.js';

export interface RabbitMqWorkQueueOptions {
  /** `amqp://` or `amqps://`, credentials included. */
  readonly url: string;
  /** Base of the management API; null: other processes' messages in flight and parked are not seen by `depth()`. */
  readonly managementUrl: string | null;
  readonly queueName: string;
  /** Failed deliveries after which a message is dead-lettered. Default: 20. */
  readonly deliveryLimit?: number;
  /** Wait after the first failed delivery, in ms; doubles with each further one, up to a minute. Default: 1,000. */
  readonly retryDelayMs?: number;
  /**
   * How long a new parking queue stays empty, in ms. RabbitMQ (3.10 for one) confirms messages about a second before it has
   * written down that their queue exists; killed in between, it comes back without them. Default: 2,000.
   */
  readonly newQueueRestMs?: number;
}

/**
 * The work queue on RabbitMQ 3.10 or newer: a quorum queue with confirmed, persistent messages and late acks, and beside it
 * `<name>.dead` and short-lived `<name>.parked.<ms>` queues in which deferred messages wait.
 */
export class RabbitMqWorkQueue implements WorkQueue {
  private readonly logger = new Logger('WorkQueue');
  private readonly connection: RabbitConnection;
  /** Consumers have their own: while the broker is short of memory or disk it reads nothing from one that publishes. */
  private consuming: RabbitConnection | undefined;
  private readonly publisher: RabbitPublisher;
  private readonly management: RabbitManagement | null;
  private readonly consumers = new Set<RabbitConsumer>();
  private readonly queueName: string;
  private readonly deliveryLimit: number;
  private readonly retryDelayMs: number;

  constructor(
    private readonly clock: Clock,
    private readonly options: RabbitMqWorkQueueOptions,
  ) {
    const { url, managementUrl, queueName, deliveryLimit = 20, retryDelayMs = 1_000 } = options;
    const { newQueueRestMs = 2_000 } = options;
    this.queueName = queueName;
    this.deliveryLimit = deliveryLimit;
    this.retryDelayMs = retryDelayMs;
    this.connection = new RabbitConnection(url);
    this.publisher = new RabbitPublisher(this.connection, clock, queueName, deliveryLimit, newQueueRestMs);
    this.management = managementUrl === null ? null : new RabbitManagement(managementUrl, url, queueName);
  }

  /**
   * Resolves when the broker is there and the queues are declared, or when it cannot be reached yet: that mends itself.
   * Rejects, and closes the queue, when the broker refuses the credentials, the virtual host or the queues' arguments.
   */
  async ready(): Promise<void> {
    try {
      await this.publisher.open();
    } catch (error) {
      if (error instanceof BrokerRefusal) {
        await this.close();
        throw error;
      }
      this.logger.warn(`${messageOf(error)} It is tried again until it answers.`);
    }
  }

  async publish(body: Buffer): Promise<void> {
    await this.publisher.publish(this.queueName, body);
  }

  async consume(handler: (delivery: Delivery) => Promise<void>, concurrency: number): Promise<Consumer> {
    this.connection.requireOpen();
    const { publisher, clock, queueName, deliveryLimit, retryDelayMs } = this;
    const options = { publisher, clock, queueName, deliveryLimit, retryDelayMs };
    this.consuming ??= new RabbitConnection(this.options.url);
    const consumer = new RabbitConsumer(this.consuming, options, handler, concurrency);
    this.consumers.add(consumer);
    await consumer.start();
    return consumer;
  }

  async depth(): Promise<QueueDepth> {
    await this.connection.inTime('declare the queues', () => this.publisher.open());
    const [ready, dead, ownParked] = await this.connection.run('read the queues', async (channel) => [
      (await channel.checkQueue(this.queueName)).messageCount,
      (await channel.checkQueue(deadQueueOf(this.queueName))).messageCount,
      await this.ownParked(),
    ]);
    const own = [...this.consumers].reduce((sum, { inFlight }) => sum + inFlight, 0);
    const figures = await this.figures();
    const waiting = (ready ?? 0) + Math.max(ownParked ?? 0, figures?.parked ?? 0);
    return {
      ready: waiting,
      inFlight: Math.max(own, figures?.inFlight ?? 0),
      dead: dead ?? 0,
      oldestAgeSeconds: waiting === 0 ? 0 : this.ageOf(figures?.headPublishedAt ?? null),
    };
  }

  /** Reads the dead-letter queue from its head, where the oldest are, and puts all of it back. */
  async deadLetters(limit: number): Promise<readonly DeadLetter[]> {
    await this.connection.inTime('declare the queues', () => this.publisher.open());
    const channel = await this.connection.inTime('open a channel', () => this.connection.channel());
    try {
      return await this.peek(channel, limit);
    } finally {
      channel.nackAll(true);
      await channel.close();
    }
  }

  async ping(): Promise<void> {
    this.connection.requireConnected();
    // A broker that came after this process has no queues yet.
    await this.connection.inTime('declare the queues', () => this.publisher.open());
    await this.connection.run('answer', (channel) => channel.checkQueue(this.queueName));
  }

  /** Messages in hand are left to their handlers; the broker delivers those again. */
  async close(): Promise<void> {
    await Promise.all([...this.consumers].map((consumer) => consumer.stop()));
    this.consumers.clear();
    await Promise.all([this.consuming?.close(), this.connection.close()]);
  }

  private async peek(channel: Channel, limit: number): Promise<DeadLetter[]> {
    const newest: GetMessage[] = [];
    for (;;) {
      const message = await channel.get(deadQueueOf(this.queueName));
      if (message === false) break;
      newest.push(message);
      if (newest.length > limit) newest.shift();
    }
    return newest.reverse().map((message) => this.deadLetterOf(message));
  }

  /** A letter without a reason was moved by the broker itself, which tells when in `x-death` (seconds). */
  private deadLetterOf({ content, properties }: GetMessage): DeadLetter {
    const headers = properties.headers ?? {};
    const reason: unknown = headers[REASON_HEADER];
    const at: unknown = headers[DEAD_AT_HEADER];
    const moved = headers['x-death']?.[0]?.time.value;
    return {
      body: content,
      reason: typeof reason === 'string' ? reason : exhaustion(this.deliveryLimit),
      at: typeof at === 'number' ? at : typeof moved === 'number' ? moved * 1_000 : null,
    };
  }

  private async ownParked(): Promise<number> {
    const counts = this.publisher.parkingQueues().map((name) =>
      this.connection
        .run('read a parking queue', (channel) => channel.checkQueue(name))
        .then(
          ({ messageCount }) => messageCount,
          // Deleted since: it holds nothing.
          () => 0,
        ),
    );
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  private async figures(): Promise<BrokerFigures | null> {
    if (this.management === null) return null;
    try {
      return await this.management.figures();
    } catch (error) {
      this.logger.warn(`RabbitMQ's management API gave no figures: ${messageOf(error)}`);
      return null;
    }
  }

  private ageOf(publishedAt: number | null): number | null {
    return publishedAt === null ? null : Math.max(0, this.clock.now() - publishedAt) / 1_000;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
