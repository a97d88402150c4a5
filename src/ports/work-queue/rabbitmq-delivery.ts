import { type Channel, type ConsumeMessage, type MessagePropertyHeaders } from 'amqplib';
import { type Clock } from '../../domain/clock.js';
import { type RabbitPublisher } from './rabbitmq-publisher.js';
import {
  countIn,
  DEAD_AT_HEADER,
  deadQueueOf,
  DELIVERIES_HEADER,
  FAILURES_HEADER,
  ownHeaders,
  REASON_HEADER,
} from './rabbitmq-topology.js';
import { type Delivery } from './work-queue.port.js';

const RETRY_DELAY_MAX_MS = 60_000;

/** What a consumer's deliveries need to settle. */
export interface SettlingOptions {
  readonly publisher: RabbitPublisher;
  readonly clock: Clock;
  readonly queueName: string;
  readonly deliveryLimit: number;
  readonly retryDelayMs: number;
}

/** A channel of a consumer. Once it is closed, its unsettled messages are in the queue again. */
export interface ConsumerChannel {
  readonly channel: Channel;
  closed: boolean;
}

/** Counts own copies in headers: the broker counts only the returns of one copy (`x-delivery-count`). */
export class RabbitDelivery implements Delivery {
  private isSettled = false;
  /** Returns of this copy by holders that were lost. */
  private readonly returns: number;

  constructor(
    private readonly options: SettlingOptions,
    private readonly source: ConsumerChannel,
    private readonly message: ConsumeMessage,
  ) {
    this.returns = countIn(message.properties.headers, 'x-delivery-count');
  }

  get body(): Buffer {
    return this.message.content;
  }

  get deliveries(): number {
    return countIn(this.message.properties.headers, DELIVERIES_HEADER) + this.returns + 1;
  }

  get failures(): number {
    return countIn(this.message.properties.headers, FAILURES_HEADER) + this.returns;
  }

  get settled(): boolean {
    return this.isSettled;
  }

  /** Its channel is closed: the broker has given the message back to the queue. */
  get lost(): boolean {
    return this.source.closed;
  }

  get exhausted(): boolean {
    return this.failures >= this.options.deliveryLimit;
  }

  async ack(): Promise<void> {
    await this.settle(async () => undefined);
  }

  async defer(delayMs: number): Promise<void> {
    await this.settle(() => this.park(delayMs, this.deliveries, this.failures));
  }

  async deadLetter(reason: string): Promise<void> {
    await this.settle(() => this.bury(reason));
  }

  /** Counts a failed delivery: the message comes back after a while, or never when that was the last one. */
  async fail(): Promise<void> {
    const { deliveryLimit, retryDelayMs } = this.options;
    const failures = this.failures + 1;
    const delayMs = Math.min(retryDelayMs * 2 ** this.failures, RETRY_DELAY_MAX_MS);
    await this.settle(() =>
      failures >= deliveryLimit ? this.exhaust() : this.park(delayMs, this.deliveries, failures),
    );
  }

  /** Dead-letters a message that had all its deliveries. */
  async giveUp(): Promise<void> {
    await this.settle(() => this.exhaust());
  }

  /** Puts the message back as if it had not been handed out. */
  async putBack(): Promise<void> {
    await this.settle(() => this.park(0, this.deliveries - 1, this.failures));
  }

  /** Leaves the rest to the broker, which counts the return. */
  returnToBroker(): void {
    if (this.isSettled || this.source.closed) return;
    this.isSettled = true;
    this.source.channel.nack(this.message, false, true);
  }

  private exhaust(): Promise<void> {
    return this.bury(exhaustion(this.options.deliveryLimit));
  }

  private park(delayMs: number, deliveries: number, failures: number): Promise<void> {
    return this.options.publisher.park(
      this.body,
      delayMs,
      this.headers({ [DELIVERIES_HEADER]: deliveries, [FAILURES_HEADER]: failures }),
    );
  }

  private bury(reason: string): Promise<void> {
    const { publisher, clock, queueName } = this.options;
    return publisher.publish(
      deadQueueOf(queueName),
      this.body,
      this.headers({ [REASON_HEADER]: reason, [DEAD_AT_HEADER]: clock.now() }),
    );
  }

  private headers(more: MessagePropertyHeaders): MessagePropertyHeaders {
    return { ...ownHeaders(this.message.properties.headers), ...more };
  }

  /** Publishes first and acks then: a crash in between leaves two copies, never none. */
  private async settle(step: () => Promise<void>): Promise<void> {
    if (this.isSettled) return;
    this.isSettled = true;
    if (this.source.closed) return;
    try {
      await step();
    } catch (error) {
      this.isSettled = false;
      throw error;
    }
    if (!this.source.closed) this.source.channel.ack(this.message);
  }
}

export function exhaustion(deliveryLimit: number): string {
  return `not handled in ${deliveryLimit} deliveries, which is the limit`;
}
