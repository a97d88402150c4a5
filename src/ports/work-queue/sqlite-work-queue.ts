import { type Clock } from '../../domain/clock.js';
import { EuglenaError } from '../../domain/errors.js';
import { type EmbeddedDatabase } from '../embedded/embedded-database.js';
import { SqliteConsumer } from './sqlite-consumer.js';
import { MessageTable, type SqliteWorkQueueOptions } from './sqlite-message-table.js';
import {
  type Consumer,
  type DeadLetter,
  type Delivery,
  type QueueDepth,
  type WorkQueue,
} from './work-queue.port.js';

/**
 * The work queue in the data folder's SQLite file. A taken message is hidden from the others for `visibilityMs`, and the
 * taker puts that off while its handler runs; so the messages of a process that died come back by themselves.
 */
export class SqliteWorkQueue implements WorkQueue {
  private readonly messages: MessageTable;
  private readonly visibilityMs: number;
  private readonly consumers = new Set<SqliteConsumer>();
  private closed = false;

  constructor(
    private readonly database: EmbeddedDatabase,
    private readonly clock: Clock,
    { visibilityMs = 15_000, deliveryLimit = 20, retryDelayMs = 1_000 }: SqliteWorkQueueOptions = {},
  ) {
    this.visibilityMs = visibilityMs;
    this.messages = new MessageTable(database, clock, { visibilityMs, deliveryLimit, retryDelayMs });
  }

  async publish(body: Buffer): Promise<void> {
    this.requireOpen();
    this.messages.add(body);
  }

  async consume(handler: (delivery: Delivery) => Promise<void>, concurrency: number): Promise<Consumer> {
    this.requireOpen();
    const consumer = new SqliteConsumer(this.messages, this.clock, this.visibilityMs, handler, concurrency);
    this.consumers.add(consumer);
    consumer.start(this.database);
    return consumer;
  }

  async depth(): Promise<QueueDepth> {
    this.requireOpen();
    return this.messages.depth();
  }

  async deadLetters(limit: number): Promise<readonly DeadLetter[]> {
    this.requireOpen();
    return this.messages.deadLetters(limit);
  }

  async ping(): Promise<void> {
    this.requireOpen();
    this.database.get('SELECT 1');
  }

  /** Messages in hand are left to their handlers; those not settled in time come back after `visibilityMs`. */
  async close(): Promise<void> {
    this.closed = true;
    this.consumers.forEach((consumer) => consumer.close());
    this.consumers.clear();
  }

  private requireOpen(): void {
    if (this.closed) throw new EuglenaError('engine_unavailable', 'The work queue is closed.');
  }
}
