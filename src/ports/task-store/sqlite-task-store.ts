import { type Clock } from '../../domain/clock.js';
import { envelopeToJson, readEnvelope } from '../../domain/envelope.js';
import { type JournalEntry } from '../../domain/journal.js';
import { isTerminal } from '../../domain/lifecycle.js';
import { TASK_STATUSES, type TaskRecord, type TaskStatus } from '../../domain/task.js';
import { type Lease, type Settlement, type TaskChange } from '../../domain/task-change.js';
import { type EmbeddedDatabase } from '../embedded/embedded-database.js';
import { type HeldRow, readRecord, SqliteTaskRows } from './sqlite-task-rows.js';
import { SqliteTaskWatch } from './sqlite-task-watch.js';
import { SqliteWorkList } from './sqlite-work-list.js';
import {
  type ClaimOutcome,
  type CommitOutcome,
  type EntryVersion,
  type OutboxItem,
  type SettlementItem,
  type TaskPage,
  type TaskStore,
} from './task-store.port.js';

/** Tasks in the data folder. Each method is one transaction; a lease that ran out is lost, even if nobody took it. */
export class SqliteTaskStore implements TaskStore {
  private readonly rows: SqliteTaskRows;
  private readonly outbox: SqliteWorkList;
  private readonly settlements: SqliteWorkList;
  private readonly callbacks: SqliteWorkList;
  private readonly purged: SqliteWorkList;
  private readonly watchers: SqliteTaskWatch;

  /** `leaseMs`: how long a lease lasts after a commit or a renewal. */
  constructor(
    private readonly database: EmbeddedDatabase,
    private readonly clock: Clock,
    private readonly leaseMs: number,
  ) {
    this.rows = new SqliteTaskRows(database);
    this.outbox = new SqliteWorkList(database, 'task_outbox');
    this.settlements = new SqliteWorkList(database, 'task_settlements');
    this.callbacks = new SqliteWorkList(database, 'task_callbacks');
    this.purged = new SqliteWorkList(database, 'task_purged');
    this.watchers = new SqliteTaskWatch(database);
  }

  async find(correlationId: string): Promise<TaskRecord | null> {
    return this.rows.find(correlationId);
  }

  async commit(change: TaskChange): Promise<CommitOutcome> {
    return this.database.transaction(() => {
      const now = this.clock.now();
      const held = this.rows.held(change.record.correlationId);
      const isLost = held === undefined && change.expectedSeq === 0;
      if (change.lease !== undefined && !isLost && !holds(held, change.lease, now))
        return { kind: 'lease_lost' };
      if ((held?.seq ?? 0) !== change.expectedSeq) return { kind: 'conflict' };
      const { activeLimit, record } = change;
      if (activeLimit !== undefined && this.rows.active(record.owner ?? '') >= activeLimit) {
        return { kind: 'too_many_active' };
      }
      this.write(change, held, now);
      if (change.lease !== undefined && isLost) {
        this.rows.lease(change.lease, change.endsLease ? 0 : now + this.leaseMs, 0);
      }
      return { kind: 'committed' };
    });
  }

  async claim(creation: TaskChange, workerId: string, leaseMs: number): Promise<ClaimOutcome> {
    const { correlationId } = creation.record;
    return this.database.transaction(() => {
      const now = this.clock.now();
      const held = this.rows.held(correlationId) ?? this.create(creation, now);
      const record = this.rows.find(correlationId) ?? creation.record;
      if (isTerminal(record.status)) return { kind: 'finished', record };
      if (held.lease_expires_at > now) return { kind: 'busy', retryAfterMs: held.lease_expires_at - now };
      const lease = { correlationId, workerId, token: held.token + 1 };
      const attempt = held.attempts + 1;
      this.rows.lease(lease, now + leaseMs, attempt);
      const journal = this.rows.journal(correlationId, 0, record.head.seq);
      return { kind: 'claimed', lease, record, journal, attempt };
    });
  }

  async renew(leases: readonly Lease[]): Promise<readonly Lease[]> {
    if (leases.length === 0) return [];
    return this.database.transaction(() => {
      const now = this.clock.now();
      return leases.filter((lease) => !this.rows.moveLeaseEnd(lease, now + this.leaseMs, now));
    });
  }

  async surrender(lease: Lease): Promise<void> {
    this.rows.moveLeaseEnd(lease, 0, this.clock.now());
  }

  async journal(correlationId: string, afterSeq: number, limit: number): Promise<readonly JournalEntry[]> {
    return this.rows.journal(correlationId, afterSeq, limit);
  }

  async list(
    owner: string,
    query: { readonly statuses?: readonly TaskStatus[]; readonly limit: number; readonly cursor?: string },
  ): Promise<TaskPage> {
    const after = readCursor(query.cursor);
    const rows = this.database.all<{ json: string }>(
      `SELECT json FROM tasks
       WHERE owner = ? AND (created_at, correlation_id) < (?, ?) AND status IN (SELECT value FROM json_each(?))
       ORDER BY created_at DESC, correlation_id DESC LIMIT ?`,
      owner,
      after.createdAt,
      after.correlationId,
      JSON.stringify(query.statuses ?? TASK_STATUSES),
      query.limit + 1,
    );
    const tasks = rows.slice(0, query.limit).map(({ json }) => readRecord(json));
    const last = tasks.at(-1);
    return { tasks, nextCursor: rows.length > query.limit && last !== undefined ? cursorBehind(last) : null };
  }

  async active(owner: string): Promise<number> {
    return this.rows.active(owner);
  }

  /** An outbox entry that was cleared counts as taken: its message is in the queue. */
  async withdraw(correlationId: string): Promise<boolean> {
    return this.database.transaction(() => {
      const unseen =
        this.rows.find(correlationId)?.status === 'pending' &&
        this.rows.held(correlationId)?.token === 0 &&
        this.outbox.isUntouched(correlationId);
      if (unseen) this.remove([correlationId]);
      return unseen;
    });
  }

  async takeOutbox(options: {
    limit: number;
    olderThanMs: number;
    holdMs: number;
  }): Promise<readonly OutboxItem[]> {
    const { limit, olderThanMs, holdMs } = options;
    const taken = this.database.transaction(() => {
      const now = this.clock.now();
      return this.outbox.take(limit, now - olderThanMs, now, now + holdMs);
    });
    return taken.flatMap(({ seq, json }) => {
      const reading = readEnvelope(Buffer.from(json));
      // What a newer version wrote is left to that version.
      return reading.kind === 'envelope' ? [{ seq, envelope: reading.envelope }] : [];
    });
  }

  async clearOutbox(entries: readonly EntryVersion[]): Promise<void> {
    this.outbox.clear(entries);
  }

  async takeSettlements(options: { limit: number; holdMs: number }): Promise<readonly SettlementItem[]> {
    const { limit, holdMs } = options;
    const taken = this.database.transaction(() => {
      const now = this.clock.now();
      return this.settlements.take(limit, now, now, now + holdMs);
    });
    return taken.map(({ seq, json }) => ({ seq, settlement: JSON.parse(json) as Settlement }));
  }

  async clearSettlements(entries: readonly EntryVersion[]): Promise<void> {
    this.settlements.clear(entries);
  }

  async takeCallbacks(options: { limit: number; holdMs: number }): Promise<readonly EntryVersion[]> {
    return this.takeVersions(this.callbacks, options);
  }

  async postponeCallback(entry: EntryVersion, delayMs: number): Promise<void> {
    this.callbacks.hold(entry, this.clock.now() + delayMs);
  }

  async clearCallbacks(entries: readonly EntryVersion[]): Promise<void> {
    this.callbacks.clear(entries);
  }

  watch(correlationId: string, listener: () => void): () => void {
    return this.watchers.add(correlationId, listener);
  }

  /** Of every change: to look at a task costs little here. */
  watchEnd(correlationId: string, listener: () => void): () => void {
    return this.watch(correlationId, listener);
  }

  async stalled(olderThanMs: number, limit: number): Promise<readonly TaskRecord[]> {
    const now = this.clock.now();
    const rows = this.database.all<{ json: string }>(
      `SELECT json FROM tasks WHERE finished_at IS NULL AND lease_expires_at <= ? AND created_at <= ?
       ORDER BY created_at, correlation_id LIMIT ?`,
      now,
      now - olderThanMs,
      limit,
    );
    return rows.map(({ json }) => readRecord(json));
  }

  async purge(finishedBefore: number, limit: number): Promise<readonly string[]> {
    return this.database.transaction(() => {
      const rows = this.database.all<{ correlation_id: string; seq: number }>(
        'SELECT correlation_id, seq FROM tasks WHERE finished_at < ? ORDER BY finished_at LIMIT ?',
        finishedBefore,
        limit,
      );
      const ids = rows.map((row) => row.correlation_id);
      if (ids.length > 0) this.remove(ids);
      const now = this.clock.now();
      for (const { correlation_id: correlationId, seq } of rows) {
        this.purged.put({ correlationId, seq }, '', now);
      }
      return ids;
    });
  }

  async takePurged(options: { limit: number; holdMs: number }): Promise<readonly EntryVersion[]> {
    return this.takeVersions(this.purged, options);
  }

  async clearPurged(entries: readonly EntryVersion[]): Promise<void> {
    this.purged.clear(entries);
  }

  async ping(): Promise<void> {
    this.database.get('SELECT 1');
  }

  async close(): Promise<void> {
    this.watchers.stop();
  }

  private takeVersions(
    list: SqliteWorkList,
    { limit, holdMs }: { limit: number; holdMs: number },
  ): readonly EntryVersion[] {
    const taken = this.database.transaction(() => {
      const now = this.clock.now();
      return list.take(limit, now, now, now + holdMs);
    });
    return taken.map(({ correlation_id: correlationId, seq }) => ({ correlationId, seq }));
  }

  private create(creation: TaskChange, now: number): HeldRow {
    this.write(creation, undefined, now);
    return { seq: creation.record.head.seq, token: 0, worker_id: null, lease_expires_at: 0, attempts: 0 };
  }

  private write(change: TaskChange, held: HeldRow | undefined, now: number): void {
    const { outbox, settlement, callsBack, record } = change;
    const entry = { correlationId: record.correlationId, seq: record.head.seq };
    this.rows.write(change, held, now + this.leaseMs);
    if (outbox) this.outbox.put(entry, envelopeToJson(outbox), now);
    if (settlement) this.settlements.put(entry, JSON.stringify(settlement), now);
    if (callsBack === true) this.callbacks.put(entry, '', now);
  }

  private remove(correlationIds: readonly string[]): void {
    this.rows.remove(correlationIds);
    this.outbox.remove(correlationIds);
    this.settlements.remove(correlationIds);
    this.callbacks.remove(correlationIds);
  }
}

function holds(held: HeldRow | undefined, lease: Lease, now: number): boolean {
  return held?.token === lease.token && held.worker_id === lease.workerId && held.lease_expires_at > now;
}

interface Place {
  readonly createdAt: number;
  readonly correlationId: string;
}
const START: Place = { createdAt: Number.MAX_SAFE_INTEGER, correlationId: '' };

function cursorBehind(task: TaskRecord): string {
  return Buffer.from(JSON.stringify([task.createdAt, task.correlationId])).toString('base64url');
}

function readCursor(cursor: string | undefined): Place {
  try {
    const [createdAt, correlationId]: unknown[] = JSON.parse(
      Buffer.from(cursor ?? '', 'base64url').toString(),
    ) as unknown[];
    if (Number.isSafeInteger(createdAt) && typeof correlationId === 'string') {
      return { createdAt: createdAt as number, correlationId };
    }
  } catch {
    // Reads like none, as the port promises.
  }
  return START;
}
