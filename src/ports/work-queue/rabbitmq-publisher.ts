import { randomUUID } from 'node:crypto';
import { type ConfirmChannel, type MessagePropertyHeaders } from 'amqplib';
import { type Clock } from '../../domain/clock.js';
import { BrokerRefusal, type RabbitConnection } from './rabbitmq-connection.js';
import { declareTopology, parkingQueue } from './rabbitmq-topology.js';

/** Publishes on one confirmed channel: what resolves is with the broker, on disk and on most of the queue's members. */
export class RabbitPublisher {
  private opening: Promise<ConfirmChannel> | undefined;
  private readonly returned = new Set<string>();
  /** Parking queues that this instance declared, and until when they exist for certain. */
  private readonly parking = new Map<string, number>();

  constructor(
    private readonly connection: RabbitConnection,
    private readonly clock: Clock,
    private readonly queueName: string,
    private readonly deliveryLimit: number,
  ) {}

  /** The channel, on a broker whose queues are declared. */
  open(): Promise<ConfirmChannel> {
    if (this.opening !== undefined) return this.opening;
    const opening = this.openNew();
    this.opening = opening;
    opening.catch(() => this.forget(opening));
    return opening;
  }

  /** Resolves when the broker confirmed the message. */
  async publish(queue: string, body: Buffer, headers: MessagePropertyHeaders = {}): Promise<void> {
    this.connection.requireOpen();
    this.connection.requireUnblocked();
    const messageId = randomUUID();
    await this.connection.inTime('publish a message', async (isLate) => {
      const channel = await this.open();
      // Its caller has been told that it was not published.
      if (isLate()) return;
      await new Promise<void>((resolve, reject) => {
        const options = {
          contentType: 'application/json',
          headers,
          mandatory: true,
          messageId,
          persistent: true,
          timestamp: Math.floor(this.clock.now() / 1_000),
        };
        channel.publish('', queue, body, options, (error: unknown) =>
          error ? reject(error instanceof Error ? error : new Error('not confirmed')) : resolve(),
        );
      });
    });
    // A message without a queue is returned before it is confirmed.
    if (!this.returned.delete(messageId)) return;
    this.opening = undefined;
    throw this.connection.unavailable(`has no queue "${queue}" any more`);
  }

  /** Publishes the message so that it reaches the queue of work after `delayMs`. */
  async park(body: Buffer, delayMs: number, headers: MessagePropertyHeaders): Promise<void> {
    if (delayMs <= 0) return this.publish(this.queueName, body, headers);
    const queue = parkingQueue(this.queueName, delayMs);
    this.connection.requireUnblocked();
    await this.connection.run('declare a parking queue', (channel) =>
      channel.assertQueue(queue.name, queue.options),
    );
    this.parking.set(queue.name, this.clock.now() + queue.lifetimeMs);
    await this.publish(queue.name, body, headers);
  }

  /** The parking queues of this instance that can still hold messages. */
  parkingQueues(): string[] {
    const now = this.clock.now();
    for (const [name, until] of this.parking) if (until <= now) this.parking.delete(name);
    return [...this.parking.keys()];
  }

  private async openNew(): Promise<ConfirmChannel> {
    await this.connection.run('declare the queues', async (channel) => {
      try {
        await declareTopology(channel, this.queueName, this.deliveryLimit);
      } catch (error) {
        throw this.refusalOf(error);
      }
    });
    const channel = await this.connection.inTime('open a channel', () => this.connection.confirmChannel());
    channel.on('return', ({ properties }) => this.returned.add(String(properties.messageId)));
    channel.on('close', () => (this.opening = undefined));
    return channel;
  }

  private forget(opening: Promise<ConfirmChannel>): void {
    if (this.opening === opening) this.opening = undefined;
  }

  private refusalOf(error: unknown): unknown {
    const text = error instanceof Error ? error.message : '';
    if (text.includes('PRECONDITION')) {
      const [, argument = 'one of them'] = /inequivalent arg '([^']+)'/.exec(text) ?? [];
      return new BrokerRefusal(
        `The queue "${this.queueName}" (or its ".dead") exists on the broker with other arguments (${argument}): ` +
          'delete it when it is empty, or choose another QUEUE_NAME.',
      );
    }
    if (text.includes('ACCESS')) {
      return new BrokerRefusal(`The user of RABBITMQ_URL may not declare the queue "${this.queueName}".`);
    }
    return error;
  }
}
