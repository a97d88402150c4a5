import { EventEmitter } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'libsql';
import { EuglenaError } from '../../domain/errors.js';

type Value = string | number | bigint | Buffer | null;
type Row = Record<string, unknown>;
/** Takes the values as one array: libsql reads a lone object as named values, and so a lone Buffer too. */
interface RawStatement {
  run(values: readonly Value[]): { changes: number };
  all(values: readonly Value[]): Row[];
}
interface RawDatabase {
  exec(sql: string): void;
  prepare(sql: string): RawStatement;
  close(): void;
}

/** How long a statement waits for another process's write lock, in ms. Writes take well under one. */
const BUSY_TIMEOUT_MS = 5_000;
/** How often {@link EmbeddedDatabase.onChange} looks for other processes' commits, in ms. */
const CHANGE_POLL_MS = 100;

/**
 * The one SQLite file of a data folder: `<dataDir>/euglena.db`. WAL with `synchronous=FULL`, so that a committed
 * transaction survives a power cut; several processes may have it open. Each embedded adapter owns its tables.
 * Everything is synchronous: a call takes tens of microseconds, a write one fsync.
 */
export class EmbeddedDatabase {
  private readonly statements = new Map<string, RawStatement>();
  private readonly changes = new EventEmitter().setMaxListeners(0);
  private poll: NodeJS.Timeout | undefined;
  private seenVersion = 0;
  private depth = 0;
  private closed = false;

  private constructor(
    private readonly raw: RawDatabase,
    readonly path: string,
  ) {}

  /** @throws EuglenaError `engine_unavailable` that names the folder when it cannot be written. */
  static open(dataDir: string): EmbeddedDatabase {
    const path = join(dataDir, 'euglena.db');
    try {
      mkdirSync(dataDir, { recursive: true, mode: 0o700 });
      const raw = new Database(path, { timeout: BUSY_TIMEOUT_MS }) as unknown as RawDatabase;
      raw.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;');
      return new EmbeddedDatabase(raw, path);
    } catch (error) {
      throw unavailable(`The data folder ${dataDir} cannot be used`, error);
    }
  }

  /** Runs `CREATE … IF NOT EXISTS` statements. */
  define(ddl: string): void {
    this.guard(() => this.raw.exec(ddl));
  }

  run(sql: string, ...values: Value[]): number {
    const { changes } = this.guard(() => this.statement(sql).run(values));
    if (this.depth === 0) this.changes.emit('change', 'own');
    return changes;
  }

  get<T extends object>(sql: string, ...values: Value[]): T | undefined {
    const row = this.guard(() => this.statement(sql).all(values))[0];
    return row === undefined ? undefined : (buffers(row) as T);
  }

  all<T extends object>(sql: string, ...values: Value[]): T[] {
    return this.guard(() => this.statement(sql).all(values)).map((row) => buffers(row) as T);
  }

  /**
   * Like {@link transaction}, but without an fsync of its own: it survives every crash of the process, and a power cut only
   * once another commit came behind it.
   */
  relaxedTransaction<T>(work: () => T): T {
    this.guard(() => this.raw.exec('PRAGMA synchronous = NORMAL'));
    try {
      return this.transaction(work);
    } finally {
      this.guard(() => this.raw.exec('PRAGMA synchronous = FULL'));
    }
  }

  /** Runs `work` as one atomic step that holds the write lock from its start. Must not be nested. */
  transaction<T>(work: () => T): T {
    if (this.depth > 0) throw new Error('transactions cannot be nested');
    this.guard(() => this.raw.exec('BEGIN IMMEDIATE'));
    this.depth += 1;
    let result: T;
    try {
      result = work();
      this.guard(() => this.raw.exec('COMMIT'));
    } catch (error) {
      this.rollback();
      throw error;
    } finally {
      this.depth -= 1;
    }
    this.changes.emit('change', 'own');
    return result;
  }

  /**
   * Calls `listener` after each commit: this connection's (`own`) at once, those of other processes (`foreign`) within
   * about 100 ms. Returns the way to stop.
   */
  onChange(listener: (from: 'own' | 'foreign') => void): () => void {
    this.changes.on('change', listener);
    if (this.poll === undefined) this.startPolling();
    return () => {
      this.changes.off('change', listener);
      if (this.changes.listenerCount('change') === 0) this.stopPolling();
    };
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.stopPolling();
    this.changes.removeAllListeners();
    this.statements.clear();
    this.raw.close();
  }

  private startPolling(): void {
    this.seenVersion = this.version();
    this.poll = setInterval(() => this.lookForForeignCommits(), CHANGE_POLL_MS);
    this.poll.unref();
  }

  private lookForForeignCommits(): void {
    const version = this.version();
    if (version === this.seenVersion) return;
    this.seenVersion = version;
    this.changes.emit('change', 'foreign');
  }

  private stopPolling(): void {
    clearInterval(this.poll);
    this.poll = undefined;
  }

  /** Changes when another connection commits (SQLite's `PRAGMA data_version`); stays when it cannot be read. */
  private version(): number {
    try {
      return this.get<{ data_version: number }>('PRAGMA data_version')?.data_version ?? 0;
    } catch {
      return this.seenVersion;
    }
  }

  private rollback(): void {
    try {
      this.raw.exec('ROLLBACK');
    } catch {
      // A failed COMMIT may already have rolled back; the first error is the one to report.
    }
  }

  private statement(sql: string): RawStatement {
    let statement = this.statements.get(sql);
    if (statement === undefined) {
      statement = this.raw.prepare(sql);
      this.statements.set(sql, statement);
    }
    return statement;
  }

  private guard<T>(work: () => T): T {
    if (this.closed) throw unavailable('The data folder is closed', undefined);
    try {
      return work();
    } catch (error) {
      throw unavailable(`The data folder (${this.path}) did not accept this`, error);
    }
  }
}

/** libsql gives blobs as ArrayBuffer from `all`; the rest of the program wants Buffer. */
function buffers(row: Row): Row {
  for (const [key, value] of Object.entries(row)) {
    if (value instanceof ArrayBuffer) row[key] = Buffer.from(value);
  }
  return row;
}

function unavailable(what: string, cause: unknown): EuglenaError {
  const reason = cause instanceof Error ? `: ${cause.message}` : '';
  return new EuglenaError('engine_unavailable', `${what}${reason}`, { cause });
}
