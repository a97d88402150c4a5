import { randomUUID } from 'node:crypto';
import { type Clock } from '../../domain/clock.js';
import { type EmbeddedDatabase } from '../embedded/embedded-database.js';
import { type DeadLetter, type QueueDepth } from './work-queue.port.js';

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

/** A message in a consumer's hands. `holder` is new with each delivery: whoever took the message since has another. */
export interface HeldMessage {
  readonly id: number;
  readonly holder: string;
  readonly body: Buffer;
  readonly deliveries: number;
}

/** The queue's two tables. A step on a held message does nothing once the message went to another holder. */
export class MessageTable {
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
