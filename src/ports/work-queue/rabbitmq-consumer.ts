import { Logger } from '@nestjs/common';
import { type ConsumeMessage } from 'amqplib';
import { type RabbitConnection } from './rabbitmq-connection.js';
import { type ConsumerChannel, RabbitDelivery, type SettlingOptions } from './rabbitmq-delivery.js';
import { declareQueues } from './rabbitmq-topology.js';
import { type Consumer, type Delivery } from './work-queue.port.js';

/** A consumer whose channel was closed, or could not be opened, tries again after this, in ms. */
const OPEN_AGAIN_MS = 1_000;

/** Hands out messages on a channel of its own, and opens another whenever the broker or the network ended that. */
export class RabbitConsumer implements Consumer {
  private readonly logger = new Logger('WorkQueue');
  private readonly off = new AbortController();
  /** Pushed by the broker when an earlier message was settled, though its handler still runs. */
  private readonly waiting = new Set<RabbitDelivery>();
  private readonly inHand = new Set<RabbitDelivery>();
  private running = 0;
  private source: (ConsumerChannel & { consumerTag: string }) | undefined;
  private opening: Promise<void> | undefined;

  constructor(
    private readonly connection: RabbitConnection,
    private readonly options: SettlingOptions,
    private readonly handler: (delivery: Delivery) => Promise<void>,
    private readonly concurrency: number,
  ) {}

  /** Messages that the broker counts as handed to this consumer. */
  get inFlight(): number {
    return [...this.inHand, ...this.waiting].filter(({ settled }) => !settled).length;
  }

  /** Resolves after the first attempt; goes on trying when that fails. */
  start(): Promise<void> {
    return this.open();
  }

  async stop(): Promise<void> {
    this.off.abort();
    await this.opening;
    const { source } = this;
    if (source !== undefined && !source.closed) {
      await this.connection
        .inTime('cancel a consumer', () => source.channel.cancel(source.consumerTag))
        .catch((error: unknown) => this.logger.warn(messageOf(error)));
    }
    const unopened = [...this.waiting];
    this.waiting.clear();
    for (const delivery of unopened) {
      await delivery.putBack().catch(() => delivery.returnToBroker());
    }
    this.closeWhenDone();
  }

  private open(): Promise<void> {
    this.opening ??= this.openNew()
      .catch((error: unknown) => {
        if (this.off.signal.aborted) return;
        this.logger.warn(`No messages for now, next try in ${OPEN_AGAIN_MS} ms: ${messageOf(error)}`);
        this.openLater();
      })
      .finally(() => (this.opening = undefined));
    return this.opening;
  }

  private async openNew(): Promise<void> {
    if (this.off.signal.aborted) return;
    // Each time: the queue may have been deleted since.
    await declareQueues(this.connection, this.options.queueName, this.options.deliveryLimit);
    const channel = await this.connection.inTime('open a channel', () => this.connection.channel());
    const source = { channel, closed: false, consumerTag: '' };
    channel.on('error', (error: Error) => this.logger.warn(`The broker closed a channel: ${error.message}`));
    channel.on('close', () => {
      source.closed = true;
      if (this.source === source && !this.off.signal.aborted) this.openLater();
    });
    try {
      source.consumerTag = await this.connection.inTime('start a consumer', () => this.subscribe(source));
      if (source.closed) throw this.connection.unavailable('closed a channel');
      this.source = source;
    } catch (error) {
      void channel.close().catch(() => undefined);
      throw error;
    }
  }

  private async subscribe(source: ConsumerChannel): Promise<string> {
    const { channel } = source;
    await channel.prefetch(this.concurrency);
    const { consumerTag } = await channel.consume(this.options.queueName, (message) => {
      // Without a message, the broker says that it ended the consumer: the queue was deleted or moved.
      if (message === null) void channel.close().catch(() => undefined);
      else this.take(source, message);
    });
    return consumerTag;
  }

  private openLater(): void {
    this.options.clock.sleep(OPEN_AGAIN_MS, this.off.signal).then(
      () => this.open(),
      () => undefined,
    );
  }

  private take(source: ConsumerChannel, message: ConsumeMessage): void {
    this.waiting.add(new RabbitDelivery(this.options, source, message));
    this.next();
  }

  private next(): void {
    for (const delivery of this.waiting) {
      if (this.off.signal.aborted || this.running >= this.concurrency) return;
      this.waiting.delete(delivery);
      if (!delivery.lost) void this.handle(delivery);
    }
  }

  private async handle(delivery: RabbitDelivery): Promise<void> {
    this.running += 1;
    this.inHand.add(delivery);
    try {
      if (delivery.exhausted) await delivery.giveUp();
      else await this.handler(delivery);
      if (!delivery.settled) throw new Error('the handler ended without settling it');
    } catch (error) {
      this.logger.warn(`Delivery ${delivery.deliveries} of a message failed: ${messageOf(error)}`);
      await this.giveBack(delivery);
    } finally {
      this.running -= 1;
      this.inHand.delete(delivery);
      this.next();
      this.closeWhenDone();
    }
  }

  /** When the broker takes no copy, the message waits here before it goes back: it would return at once. */
  private async giveBack(delivery: RabbitDelivery): Promise<void> {
    try {
      await delivery.fail();
    } catch (error) {
      this.logger.warn(`It could not be put aside: ${messageOf(error)}`);
      await this.options.clock.sleep(this.options.retryDelayMs, this.off.signal).catch(() => undefined);
      delivery.returnToBroker();
    }
  }

  private closeWhenDone(): void {
    const { source } = this;
    if (!this.off.signal.aborted || this.inHand.size > 0 || source === undefined || source.closed) return;
    source.closed = true;
    void source.channel.close().catch(() => undefined);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
