import { randomUUID } from 'node:crypto';
import { type ConfirmChannel, type MessagePropertyHeaders } from 'amqplib';
import { type Clock } from '../../domain/clock.js';
import { type EuglenaError } from '../../domain/errors.js';
import { type RabbitConnection } from './rabbitmq-connection.js';
import { declareQueues, type ParkingQueue, parkingQueue } from './rabbitmq-topology.js';
import { UnconfirmedPublish } from './work-queue.port.js';

/** What the client says of a message that the broker refused; anything else leaves open what became of it. */
const REFUSED = 'message nacked';
/** A parking queue that was declared this long ago, in ms, need not be declared again: it lives for days. */
const DECLARED_FOR_MS = 3_600_000;
/** A message leaves its parking queue this long after its time at the latest, in ms. */
const MOVING_MS = 60_000;

/** A message that waits for its confirmation. */
interface Waiting {
  /** The broker had no queue for it. */
  returned: boolean;
}

interface Declaration {
  readonly done: Promise<unknown>;
  readonly until: number;
}

/** Publishes on one confirmed channel: what resolves is with the broker, on disk and on most of the queue's members. */
export class RabbitPublisher {
  private opening: Promise<ConfirmChannel> | undefined;
  private mending: Promise<void> | undefined;
  private readonly waiting = new Map<string, Waiting>();
  private readonly declared = new Map<string, Declaration>();
  /** Parking queues that this instance used, and until when they can hold its messages. */
  private readonly parking = new Map<string, number>();

  constructor(
    private readonly connection: RabbitConnection,
    private readonly clock: Clock,
    private readonly queueName: string,
    private readonly deliveryLimit: number,
    /** How long a new parking queue stays empty, in ms. */
    private readonly newQueueRestMs: number,
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
    const message: Waiting = { returned: false };
    const options = {
      contentType: 'application/json',
      headers,
      mandatory: true,
      messageId,
      persistent: true,
      timestamp: Math.floor(this.clock.now() / 1_000),
    };
    try {
      await this.connection.inTime('publish a message', async (isLate) => {
        const channel = await this.open();
        // Its caller has been told that it was not published.
        if (isLate()) return;
        await new Promise<void>((resolve, reject) => {
          channel.publish('', queue, body, options, (error: Error | null) => {
            if (error === null) return resolve();
            if (error.message === REFUSED) this.waiting.delete(messageId);
            reject(error);
          });
          this.waiting.set(messageId, message);
        });
      });
    } catch (error) {
      if (this.waiting.has(messageId)) throw new UnconfirmedPublish(messageOf(error), error);
      throw error;
    } finally {
      this.waiting.delete(messageId);
    }
    // A message without a queue is returned before it is confirmed.
    if (message.returned) throw await this.mend(queue);
  }

  /** Publishes the message so that it reaches the queue of work after `delayMs`. */
  async park(body: Buffer, delayMs: number, headers: MessagePropertyHeaders): Promise<void> {
    if (delayMs <= 0) return this.publish(this.queueName, body, headers);
    const queue = parkingQueue(this.queueName, delayMs);
    this.connection.requireUnblocked();
    await this.declareParking(queue);
    this.parking.set(queue.name, this.clock.now() + queue.ttlMs + MOVING_MS);
    await this.publish(queue.name, body, headers);
  }

  /** The parking queues that can still hold messages of this instance. */
  parkingQueues(): string[] {
    const now = this.clock.now();
    for (const [name, until] of this.parking) if (until <= now) this.parking.delete(name);
    return [...this.parking.keys()];
  }

  /** Once for all messages that are parked at about the same time: a busy task may meet a hundred copies at once. */
  private async declareParking(queue: ParkingQueue): Promise<void> {
    const { name } = queue;
    const now = this.clock.now();
    let declaration = this.declared.get(name);
    if (declaration === undefined || declaration.until <= now) {
      const done = this.makeParking(queue);
      declaration = { done, until: now + DECLARED_FOR_MS };
      this.declared.set(name, declaration);
      done.catch(() => this.declared.delete(name));
    }
    await declaration.done;
  }

  /** A queue that was not there yet rests before its first message; until then that is safe in the queue of work. */
  private async makeParking({ name, options }: ParkingQueue): Promise<void> {
    const existed = await this.connection
      .run('look for a parking queue', (channel) => channel.checkQueue(name))
      .then(
        () => true,
        () => false,
      );
    await this.connection.run('declare a parking queue', (channel) => channel.assertQueue(name, options));
    if (!existed) await this.clock.sleep(this.newQueueRestMs);
  }

  /** Declares again what somebody deleted; answers what to say of the message that had no queue. */
  private async mend(queue: string): Promise<EuglenaError> {
    this.declared.clear();
    this.mending ??= this.declare().finally(() => (this.mending = undefined));
    await this.mending.catch(() => undefined);
    return this.connection.unavailable(`had no queue "${queue}" any more`);
  }

  private declare(): Promise<void> {
    return declareQueues(this.connection, this.queueName, this.deliveryLimit);
  }

  private async openNew(): Promise<ConfirmChannel> {
    await this.declare();
    const channel = await this.connection.inTime('open a channel', () => this.connection.confirmChannel());
    channel.on('return', ({ properties }) => {
      const message = this.waiting.get(String(properties.messageId));
      if (message !== undefined) message.returned = true;
    });
    channel.on('close', () => {
      this.opening = undefined;
      this.declared.clear();
    });
    return channel;
  }

  private forget(opening: Promise<ConfirmChannel>): void {
    if (this.opening === opening) this.opening = undefined;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
