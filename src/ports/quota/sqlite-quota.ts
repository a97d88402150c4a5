import { type Clock } from '../../domain/clock.js';
import { quotaUsage, type QuotaUsage, utcDay } from '../../domain/quota.js';
import { type EmbeddedDatabase } from '../embedded/embedded-database.js';
import { type OpenReservation, type Quota, type Reservation } from './quota.port.js';

const DAY_MS = 86_400_000;
/** How long settled rows are kept, in days: far longer than a submission or a settlement is tried again. */
const KEPT_DAYS = 31;

/** `reserved` and `settled` are ticks; `settled` is null until the task ended; `at` is epoch ms, `day` its UTC day. */
const DDL = `
  CREATE TABLE IF NOT EXISTS quota_ledger (
    correlation_id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    day TEXT NOT NULL,
    reserved INTEGER NOT NULL CHECK (reserved >= 0),
    settled INTEGER CHECK (settled BETWEEN 0 AND reserved),
    at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS quota_ledger_day ON quota_ledger (owner, day);
  CREATE INDEX IF NOT EXISTS quota_ledger_open ON quota_ledger (at) WHERE settled IS NULL;
`;

/** Each user's ticks in one ledger: a row for each task, charged with what it used, or with all it reserved until then. */
export class SqliteQuota implements Quota {
  constructor(
    private readonly database: EmbeddedDatabase,
    private readonly clock: Clock,
    private readonly dailyLimit: number,
    /** Whether the tasks are stored in the same database. Default false. */
    private readonly storedWithTasks = false,
  ) {
    database.define(DDL);
  }

  async reserve(owner: string, correlationId: string, ticks: number): Promise<Reservation> {
    const work = () => this.reserveNow(owner, correlationId, ticks);
    // The task that it pays for is stored next: in the same file, that commit makes both durable.
    return this.storedWithTasks ? this.database.relaxedTransaction(work) : this.database.transaction(work);
  }

  private reserveNow(owner: string, correlationId: string, ticks: number): Reservation {
    const kept = this.ticksKept(correlationId);
    if (kept !== null) {
      this.touch(correlationId);
      return { kind: 'reserved', ticks: kept, usage: this.usageNow(owner) };
    }
    const { used, remaining } = this.usageNow(owner, correlationId);
    if (ticks > remaining) return { kind: 'exceeded', usage: this.usageNow(owner) };
    if (used === 0) this.forgetOldDays(owner);
    this.insert(owner, correlationId, ticks);
    return {
      kind: 'reserved',
      ticks,
      usage: quotaUsage(this.dailyLimit, used + ticks, this.clock.now()),
    };
  }

  private forgetOldDays(owner: string): void {
    this.database.run(
      'DELETE FROM quota_ledger WHERE owner = ? AND day < ? AND settled IS NOT NULL',
      owner,
      utcDay(this.clock.now() - KEPT_DAYS * DAY_MS),
    );
  }

  private insert(owner: string, correlationId: string, ticks: number): void {
    const now = this.clock.now();
    this.database.run(
      'INSERT OR REPLACE INTO quota_ledger (correlation_id, owner, day, reserved, at) VALUES (?, ?, ?, ?, ?)',
      correlationId,
      owner,
      utcDay(now),
      ticks,
      now,
    );
  }

  /** A retry that is under way must not find its reservation taken for an orphan. */
  private touch(correlationId: string): void {
    this.database.run(
      'UPDATE quota_ledger SET at = ? WHERE correlation_id = ?',
      this.clock.now(),
      correlationId,
    );
  }

  async settle(correlationId: string, usedTicks: number): Promise<void> {
    this.database.run(
      `UPDATE quota_ledger SET settled = max(0, min(?, reserved))
       WHERE correlation_id = ? AND settled IS NULL`,
      usedTicks,
      correlationId,
    );
  }

  async usage(owner: string): Promise<QuotaUsage> {
    return this.usageNow(owner);
  }

  async unsettled(olderThanMs: number, limit: number): Promise<readonly OpenReservation[]> {
    return this.database.all<OpenReservation>(
      `SELECT correlation_id AS correlationId, owner, reserved AS ticks FROM quota_ledger
       WHERE settled IS NULL AND at <= ? ORDER BY at, rowid LIMIT ?`,
      this.clock.now() - olderThanMs,
      Math.max(0, limit),
    );
  }

  async ping(): Promise<void> {
    this.database.get('SELECT 1');
  }

  async close(): Promise<void> {
    // The database belongs to the boot code.
  }

  /** What an unsettled reservation of the task holds; null without one. */
  private ticksKept(correlationId: string): number | null {
    const sql = 'SELECT reserved FROM quota_ledger WHERE correlation_id = ? AND settled IS NULL';
    return this.database.get<{ reserved: number }>(sql, correlationId)?.reserved ?? null;
  }

  /** `without`: a task that is left out of the sum. */
  private usageNow(owner: string, without = ''): QuotaUsage {
    const now = this.clock.now();
    const row = this.database.get<{ used: number }>(
      `SELECT coalesce(sum(coalesce(settled, reserved)), 0) AS used FROM quota_ledger
       WHERE owner = ? AND day = ? AND correlation_id <> ?`,
      owner,
      utcDay(now),
      without,
    );
    return quotaUsage(this.dailyLimit, row?.used ?? 0, now);
  }
}
