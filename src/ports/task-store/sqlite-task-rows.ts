import { EuglenaError } from '../../domain/errors.js';
import { entryFromJson, entryToJson, type JournalEntry } from '../../domain/journal.js';
import { isTerminal } from '../../domain/lifecycle.js';
import { taskFromJson, type TaskRecord, taskToJson } from '../../domain/task.js';
import { type Lease, type TaskChange } from '../../domain/task-change.js';
import { type EmbeddedDatabase } from '../embedded/embedded-database.js';

/**
 * `token` is the fencing token of the last claim (0: never claimed). `lease_expires_at` 0: nobody has the lease.
 * `finished_at` is null while the task is not terminal. `change` numbers the commits of all tasks in their order.
 */
const TABLES = `
  CREATE TABLE IF NOT EXISTS tasks (
    correlation_id TEXT PRIMARY KEY,
    owner TEXT,
    status TEXT NOT NULL,
    seq INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    json TEXT NOT NULL,
    change INTEGER NOT NULL,
    token INTEGER NOT NULL DEFAULT 0,
    worker_id TEXT,
    lease_expires_at INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX IF NOT EXISTS tasks_by_owner ON tasks (owner, created_at, correlation_id);
  CREATE INDEX IF NOT EXISTS tasks_by_end ON tasks (finished_at) WHERE finished_at IS NOT NULL;
  CREATE INDEX IF NOT EXISTS tasks_active ON tasks (owner) WHERE finished_at IS NULL;
  CREATE INDEX IF NOT EXISTS tasks_by_change ON tasks (change);
  CREATE TABLE IF NOT EXISTS task_changes (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER NOT NULL);
  INSERT OR IGNORE INTO task_changes (id, last) VALUES (1, 0);
  CREATE TABLE IF NOT EXISTS task_journal (
    correlation_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (correlation_id, seq)
  ) WITHOUT ROWID;`;

const SAVE = `
  INSERT INTO tasks (correlation_id, owner, status, seq, created_at, finished_at, json, change, lease_expires_at, attempts)
  VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT last FROM task_changes), ?, ?)
  ON CONFLICT (correlation_id) DO UPDATE SET
    status = excluded.status, seq = excluded.seq, finished_at = excluded.finished_at, json = excluded.json,
    change = excluded.change, lease_expires_at = excluded.lease_expires_at, attempts = excluded.attempts`;

/** A task's row without its record. */
export interface HeldRow {
  readonly seq: number;
  readonly token: number;
  readonly worker_id: string | null;
  readonly lease_expires_at: number;
  readonly attempts: number;
}
interface Json {
  readonly json: string;
}

/** The rows of tasks and their journals. The methods run inside the caller's transaction. */
export class SqliteTaskRows {
  constructor(private readonly database: EmbeddedDatabase) {
    database.define(TABLES);
  }

  held(correlationId: string): HeldRow | undefined {
    return this.database.get<HeldRow>(
      'SELECT seq, token, worker_id, lease_expires_at, attempts FROM tasks WHERE correlation_id = ?',
      correlationId,
    );
  }

  find(correlationId: string): TaskRecord | null {
    const row = this.database.get<Json>('SELECT json FROM tasks WHERE correlation_id = ?', correlationId);
    return row === undefined ? null : readRecord(row.json);
  }

  /** Unfinished tasks of a user. */
  active(owner: string): number {
    const sql = 'SELECT count(*) AS active FROM tasks WHERE owner = ? AND finished_at IS NULL';
    return this.database.get<{ active: number }>(sql, owner)?.active ?? 0;
  }

  journal(correlationId: string, afterSeq: number, limit: number): JournalEntry[] {
    const sql = 'SELECT json FROM task_journal WHERE correlation_id = ? AND seq > ? ORDER BY seq LIMIT ?';
    return this.database.all<Json>(sql, correlationId, afterSeq, limit).map(({ json }) => readEntry(json));
  }

  /** Saves the record and its new entries; a lease that holds on ends at `renewedUntil` if a worker writes. */
  write({ record, entries, ...change }: TaskChange, held: HeldRow | undefined, renewedUntil: number): void {
    const leaseEnd = change.lease === undefined ? (held?.lease_expires_at ?? 0) : renewedUntil;
    this.database.run('UPDATE task_changes SET last = last + 1');
    this.database.run(
      SAVE,
      record.correlationId,
      record.owner,
      record.status,
      record.head.seq,
      record.createdAt,
      isTerminal(record.status) ? (record.finishedAt ?? record.updatedAt) : null,
      JSON.stringify(taskToJson(record)),
      change.endsLease ? 0 : leaseEnd,
      entries.some(startsAttemptsAnew) ? 0 : (held?.attempts ?? 0),
    );
    for (const entry of entries) {
      this.database.run(
        'INSERT INTO task_journal (correlation_id, seq, json) VALUES (?, ?, ?)',
        record.correlationId,
        entry.seq,
        JSON.stringify(entryToJson(entry)),
      );
    }
  }

  /** Gives the lease to a new holder. */
  lease(lease: Lease, until: number, attempts: number): void {
    this.database.run(
      'UPDATE tasks SET token = ?, worker_id = ?, lease_expires_at = ?, attempts = ? WHERE correlation_id = ?',
      lease.token,
      lease.workerId,
      until,
      attempts,
      lease.correlationId,
    );
  }

  /** Renews a live lease, or ends it (`until` 0); false when it is not live any more. */
  moveLeaseEnd(lease: Lease, until: number, now: number): boolean {
    const changed = this.database.run(
      `UPDATE tasks SET lease_expires_at = ?
       WHERE correlation_id = ? AND token = ? AND worker_id = ? AND lease_expires_at > ?`,
      until,
      lease.correlationId,
      lease.token,
      lease.workerId,
      now,
    );
    return changed > 0;
  }

  remove(correlationIds: readonly string[]): void {
    const ids = JSON.stringify(correlationIds);
    const which = 'correlation_id IN (SELECT value FROM json_each(?))';
    this.database.run(`DELETE FROM tasks WHERE ${which}`, ids);
    this.database.run(`DELETE FROM task_journal WHERE ${which}`, ids);
  }
}

/** Progress, a proper hand-back and an extension each give the task its full number of attempts again. */
function startsAttemptsAnew({ type }: JournalEntry): boolean {
  return type === 'tick' || type === 'released' || type === 'extended';
}

/** @throws EuglenaError `engine_unavailable` when the row is damaged. */
export function readRecord(json: string): TaskRecord {
  return read('record', json, taskFromJson);
}

function readEntry(json: string): JournalEntry {
  return read('journal entry', json, entryFromJson);
}

function read<T>(what: string, json: string, from: (parsed: unknown) => T | null): T {
  let cause: unknown;
  try {
    const value = from(JSON.parse(json));
    if (value !== null) return value;
  } catch (error) {
    cause = error;
  }
  throw new EuglenaError('engine_unavailable', `A stored ${what} cannot be read.`, { cause });
}
