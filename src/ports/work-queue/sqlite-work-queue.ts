import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { type Clock } from '../../domain/clock.js';
import { EuglenaError } from '../../domain/errors.js';
import { type EmbeddedDatabase } from '../embedded/embedded-database.js';
import {
  type Consumer,
  type DeadLetter,
  type Delivery,
  type QueueDepth,
  type WorkQueue,
} from './work-queue.port.js';

export interface SqliteWorkQueueOptions {
  /** How long a message stays with a holder that shows no sign of life, in ms. Default: 15,000. */
  readonly visibilityMs?: number;
  /** Failed deliveries after which a message is dead-lettered. Default: 20. */
  readonly deliveryLimit?: number;
  /** Wait after the first failed delivery, in ms; doubles with each further one, up to a minute. Default: 1,000. */
  readonly retryDelayMs?: number;
}

const DDL = `
  CREATE TABLE IF NOT EXISTS queue_messages (
    id INTEGER PRIMARY KEY,
    enqueued_at INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    holder TEXT,
    body BLOB NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS queue_messages_visible ON queue_messages (visible_at);
  CREATE TABLE IF NOT EXISTS queue_dead_letters (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    body BLOB NOT NULL
  ) STRICT;`;

const RETRY_DELAY_MAX_MS = 60_000;
/** A consumer that could not look (the data folder was busy) looks again after this, in ms. */
const LOOK_AGAIN_MS = 1_000;
/** The longest wait that a timer takes; a longer one is waited for in parts. */
const TIMER_MAX_MS = 2_147_483_647;

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

/** A message in a consumer's hands. `holder` is new with each delivery: whoever took the message since has another. */
interface HeldMessage {
  readonly id: number;
  readonly holder: string;
  readonly body: Buffer;
  readonly deliveries: number;
}

/** The queue's two tables. A step on a held message does nothing once the message went to another holder. */
class MessageTable {
  constructor(
    private readonly database: EmbeddedDatabase,
    private readonly clock: Clock,
    private readonly options: Required<SqliteWorkQueueOptions>,
  ) {
    database.define(DDL);
  }

  add(body: Buffer): void {
    const now = this.clock.now();
    this.database.run(
      'INSERT INTO queue_messages (enqueued_at, visible_at, body) VALUES (?, ?, ?)',
      now,
      now,
      body,
    );
  }

  /** When the next message can be taken: in the past if one can now, null when there is none. */
  nextVisibleAt(): number | null {
    const row = this.database.get<{ at: number | null }>('SELECT min(visible_at) AS at FROM queue_messages');
    return row?.at ?? null;
  }

  /** The messages that were visible first, at most `limit`. One whose last holder was lost counts as failed once more. */
  take(limit: number): HeldMessage[] {
    const now = this.clock.now();
    return this.database.transaction(() =>
      this.database
        .all<{ id: number; body: Buffer; deliveries: number; failures: number; holder: string | null }>(
          `SELECT id, body, deliveries, failures, holder FROM queue_messages
           WHERE visible_at <= ? ORDER BY visible_at, id LIMIT ?`,
          now,
          limit,
        )
        .flatMap(({ id, body, deliveries: before, failures: failedBefore, holder: lost }) => {
          const failures = failedBefore + (lost === null ? 0 : 1);
          if (this.isExhausted(failures)) {
            this.bury(id, this.exhaustion());
            return [];
          }
          const held = { id, body, holder: randomUUID(), deliveries: before + 1 };
          this.database.run(
            'UPDATE queue_messages SET holder = ?, visible_at = ?, deliveries = ?, failures = ? WHERE id = ?',
            held.holder,
            now + this.options.visibilityMs,
            held.deliveries,
            failures,
            id,
          );
          return [held];
        }),
    );
  }

  /** Hides the message for another `visibilityMs`; false when it went to another holder. */
  extend({ id, holder }: HeldMessage): boolean {
    const until = this.clock.now() + this.options.visibilityMs;
    const sql = 'UPDATE queue_messages SET visible_at = ? WHERE id = ? AND holder = ?';
    return this.database.run(sql, until, id, holder) > 0;
  }

  remove({ id, holder }: HeldMessage): void {
    this.database.run('DELETE FROM queue_messages WHERE id = ? AND holder = ?', id, holder);
  }

  putBack({ id, holder }: HeldMessage, delayMs: number): void {
    this.database.run(
      'UPDATE queue_messages SET holder = NULL, visible_at = ? WHERE id = ? AND holder = ?',
      this.clock.now() + Math.max(0, Math.ceil(delayMs)),
      id,
      holder,
    );
  }

  deadLetter(held: HeldMessage, reason: string): void {
    this.database.transaction(() => {
      if (this.failuresOf(held) !== null) this.bury(held.id, reason);
    });
  }

  /** Counts a failed delivery: the message comes back after a while, or never when that was the last one. */
  fail(held: HeldMessage): void {
    this.database.transaction(() => {
      const before = this.failuresOf(held);
      if (before === null) return;
      const failures = before + 1;
      if (this.isExhausted(failures)) return this.bury(held.id, this.exhaustion());
      this.database.run('UPDATE queue_messages SET failures = ? WHERE id = ?', failures, held.id);
      this.putBack(held, Math.min(this.options.retryDelayMs * 2 ** before, RETRY_DELAY_MAX_MS));
    });
  }

  depth(): QueueDepth {
    const now = this.clock.now();
    const row = this.database.get<{ total: number; held: number; oldest: number | null; dead: number }>(
      `SELECT (SELECT count(*) FROM queue_messages) AS total,
        (SELECT count(*) FROM queue_messages WHERE visible_at > ? AND holder IS NOT NULL) AS held,
        (SELECT enqueued_at FROM queue_messages WHERE holder IS NULL OR visible_at <= ? ORDER BY id LIMIT 1) AS oldest,
        (SELECT count(*) FROM queue_dead_letters) AS dead`,
      now,
      now,
    ) ?? { total: 0, held: 0, oldest: null, dead: 0 };
    return {
      ready: row.total - row.held,
      inFlight: row.held,
      dead: row.dead,
      oldestAgeSeconds: row.oldest === null ? 0 : Math.max(0, now - row.oldest) / 1_000,
    };
  }

  deadLetters(limit: number): DeadLetter[] {
    return this.database.all<{ body: Buffer; reason: string; at: number }>(
      'SELECT body, reason, at FROM queue_dead_letters ORDER BY id DESC LIMIT ?',
      limit,
    );
  }

  private failuresOf({ id, holder }: HeldMessage): number | null {
    const sql = 'SELECT failures FROM queue_messages WHERE id = ? AND holder = ?';
    return this.database.get<{ failures: number }>(sql, id, holder)?.failures ?? null;
  }

  private isExhausted(failures: number): boolean {
    return failures >= this.options.deliveryLimit;
  }

  private exhaustion(): string {
    return `not handled in ${this.options.deliveryLimit} deliveries, which is the limit`;
  }

  private bury(id: number, reason: string): void {
    this.database.run(
      'INSERT INTO queue_dead_letters (at, reason, body) SELECT ?, ?, body FROM queue_messages WHERE id = ?',
      this.clock.now(),
      reason,
      id,
    );
    this.database.run('DELETE FROM queue_messages WHERE id = ?', id);
  }
}

class SqliteDelivery implements Delivery {
  private readonly keeping = new AbortController();
  private isSettled = false;

  constructor(
    private readonly messages: MessageTable,
    private readonly held: HeldMessage,
  ) {}

  get body(): Buffer {
    return this.held.body;
  }

  get deliveries(): number {
    return this.held.deliveries;
  }

  get settled(): boolean {
    return this.isSettled;
  }

  async ack(): Promise<void> {
    this.settle(() => this.messages.remove(this.held));
  }

  async defer(delayMs: number): Promise<void> {
    this.settle(() => this.messages.putBack(this.held, delayMs));
  }

  async deadLetter(reason: string): Promise<void> {
    this.settle(() => this.messages.deadLetter(this.held, reason));
  }

  fail(): void {
    this.settle(() => this.messages.fail(this.held));
  }

  /** Keeps the message from the others until it is settled, lost or let go. */
  async keep(clock: Clock, everyMs: number, logger: Logger): Promise<void> {
    while (await slept(clock, everyMs, this.keeping.signal)) {
      try {
        if (!this.messages.extend(this.held)) this.letGo();
      } catch (error) {
        logger.warn(`A message in hand could not be kept, next try in ${everyMs} ms: ${messageOf(error)}`);
      }
    }
  }

  letGo(): void {
    this.keeping.abort();
  }

  private settle(step: () => void): void {
    if (this.isSettled) return;
    step();
    this.isSettled = true;
    this.letGo();
  }
}

/** Hands out messages while it has free slots. Looks after each commit to the data folder and when the next one is due. */
class SqliteConsumer implements Consumer {
  private readonly logger = new Logger('WorkQueue');
  private readonly inHand = new Set<SqliteDelivery>();
  private alarm: { readonly at: number; readonly off: AbortController } | undefined;
  private unsubscribe: () => void = () => undefined;
  private lookIsDue = false;
  private stopped = false;

  constructor(
    private readonly messages: MessageTable,
    private readonly clock: Clock,
    private readonly visibilityMs: number,
    private readonly handler: (delivery: Delivery) => Promise<void>,
    private readonly concurrency: number,
  ) {}

  start(database: EmbeddedDatabase): void {
    this.unsubscribe = database.onChange(() => this.wake());
    this.wake();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.unsubscribe();
    this.alarm?.off.abort();
    this.alarm = undefined;
  }

  close(): void {
    void this.stop();
    this.inHand.forEach((delivery) => delivery.letGo());
  }

  /** Looks once this turn of the event loop is over, however often it is asked to. */
  private wake(): void {
    if (this.lookIsDue || this.stopped) return;
    this.lookIsDue = true;
    setImmediate(() => {
      this.lookIsDue = false;
      this.look();
    });
  }

  private look(): void {
    const free = this.concurrency - this.inHand.size;
    if (this.stopped || free <= 0) return;
    try {
      const next = this.messages.nextVisibleAt();
      if (next === null) return;
      if (next > this.clock.now()) return this.setAlarm(next);
      // Its commit wakes this consumer again, for what is left and for the alarm.
      for (const held of this.messages.take(free)) void this.handle(held);
    } catch (error) {
      this.logger.warn(`The queue could not be read, next try in ${LOOK_AGAIN_MS} ms: ${messageOf(error)}`);
      this.setAlarm(this.clock.now() + LOOK_AGAIN_MS);
    }
  }

  private setAlarm(at: number): void {
    if (this.alarm?.at === at) return;
    this.alarm?.off.abort();
    const off = new AbortController();
    this.alarm = { at, off };
    void slept(this.clock, at - this.clock.now(), off.signal).then((rings) => {
      if (!rings) return;
      this.alarm = undefined;
      this.wake();
    });
  }

  private async handle(held: HeldMessage): Promise<void> {
    const delivery = new SqliteDelivery(this.messages, held);
    this.inHand.add(delivery);
    void delivery.keep(this.clock, this.visibilityMs / 3, this.logger);
    try {
      await this.handler(delivery);
      if (!delivery.settled) throw new Error('the handler ended without settling it');
    } catch (error) {
      this.logger.warn(`Delivery ${held.deliveries} of a message failed: ${messageOf(error)}`);
      this.giveBack(delivery);
    } finally {
      this.inHand.delete(delivery);
      this.wake();
    }
  }

  private giveBack(delivery: SqliteDelivery): void {
    try {
      delivery.fail();
    } catch (error) {
      delivery.letGo();
      this.logger.warn(`It comes back in ${this.visibilityMs} ms: ${messageOf(error)}`);
    }
  }
}

/** False when the sleep was called off. */
async function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(Math.min(ms, TIMER_MAX_MS), signal);
    return true;
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
