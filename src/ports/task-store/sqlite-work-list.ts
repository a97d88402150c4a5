import { type EmbeddedDatabase } from '../embedded/embedded-database.js';
import { type EntryVersion } from './task-store.port.js';

interface Row {
  readonly correlation_id: string;
  readonly seq: number;
  readonly json: string;
}

/**
 * Things to be done for a task by whoever finds them, at most one per task: kept in the table `name` until cleared,
 * oldest first. All times are epoch milliseconds. The methods run inside the caller's transaction.
 */
export class SqliteWorkList {
  constructor(
    private readonly database: EmbeddedDatabase,
    private readonly name: 'task_outbox' | 'task_settlements' | 'task_callbacks' | 'task_purged',
  ) {
    database.define(`
      CREATE TABLE IF NOT EXISTS ${name} (
        id INTEGER PRIMARY KEY,
        correlation_id TEXT NOT NULL UNIQUE,
        seq INTEGER NOT NULL,
        json TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        held_until INTEGER NOT NULL DEFAULT 0 -- 0: nobody took it yet
      );
      CREATE INDEX IF NOT EXISTS ${name}_by_age ON ${name} (created_at);`);
  }

  /** A newer entry takes the place of an older one, and nobody holds it. */
  put({ correlationId, seq }: EntryVersion, json: string, now: number): void {
    this.database.run(
      `INSERT INTO ${this.name} (correlation_id, seq, json, created_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (correlation_id) DO UPDATE
         SET seq = excluded.seq, json = excluded.json, created_at = excluded.created_at, held_until = 0`,
      correlationId,
      seq,
      json,
      now,
    );
  }

  /** Entries made at `createdBy` or before that nobody holds at `now`; they are held until `heldUntil`. */
  take(limit: number, createdBy: number, now: number, heldUntil: number): Row[] {
    const rows = this.database.all<Row>(
      `SELECT correlation_id, seq, json FROM ${this.name}
       WHERE created_at <= ? AND held_until <= ? ORDER BY created_at, id LIMIT ?`,
      createdBy,
      now,
      limit,
    );
    if (rows.length === 0) return [];
    this.database.run(
      `UPDATE ${this.name} SET held_until = ? WHERE correlation_id IN (SELECT value FROM json_each(?))`,
      heldUntil,
      JSON.stringify(rows.map((row) => row.correlation_id)),
    );
    return rows;
  }

  /** Holds an entry of this version until `until`. */
  hold({ correlationId, seq }: EntryVersion, until: number): void {
    const sql = `UPDATE ${this.name} SET held_until = ? WHERE correlation_id = ? AND seq = ?`;
    this.database.run(sql, until, correlationId, seq);
  }

  /** Whether the entry is there and was never taken. */
  isUntouched(correlationId: string): boolean {
    const sql = `SELECT 1 AS found FROM ${this.name} WHERE correlation_id = ? AND held_until = 0`;
    return this.database.get(sql, correlationId) !== undefined;
  }

  /** Leaves entries of another version. */
  clear(entries: readonly EntryVersion[]): void {
    this.database.run(
      `DELETE FROM ${this.name} WHERE (correlation_id, seq) IN
         (SELECT value ->> 'correlationId', value ->> 'seq' FROM json_each(?))`,
      JSON.stringify(entries),
    );
  }

  /** Removes whatever these tasks have. */
  remove(correlationIds: readonly string[]): void {
    this.database.run(
      `DELETE FROM ${this.name} WHERE correlation_id IN (SELECT value FROM json_each(?))`,
      JSON.stringify(correlationIds),
    );
  }
}
