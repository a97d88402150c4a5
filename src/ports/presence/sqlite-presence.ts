import { type Clock } from '../../domain/clock.js';
import { type WorkerPresence } from '../../domain/presence.js';
import { type EmbeddedDatabase } from '../embedded/embedded-database.js';
import { type Presence } from './presence.port.js';

const DDL = `
  CREATE TABLE IF NOT EXISTS presence (
    worker_id TEXT PRIMARY KEY,
    json TEXT NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;`;

/** Presence in the data folder's SQLite file, for workers on one host. */
export class SqlitePresence implements Presence {
  constructor(
    private readonly database: EmbeddedDatabase,
    private readonly clock: Clock,
  ) {
    database.define(DDL);
  }

  async beat(worker: WorkerPresence, ttlMs: number): Promise<void> {
    this.database.run(
      `INSERT INTO presence (worker_id, json, expires_at) VALUES (?, ?, ?)
       ON CONFLICT (worker_id) DO UPDATE SET json = excluded.json, expires_at = excluded.expires_at`,
      worker.workerId,
      JSON.stringify(worker),
      this.clock.now() + ttlMs,
    );
  }

  async leave(workerId: string): Promise<void> {
    this.database.run('DELETE FROM presence WHERE worker_id = ?', workerId);
  }

  async list(): Promise<readonly WorkerPresence[]> {
    const now = this.clock.now();
    const rows = this.database.all<{ json: string; expires_at: number }>(
      'SELECT json, expires_at FROM presence ORDER BY worker_id',
    );
    const live = rows.filter((row) => row.expires_at > now);
    // A read costs no write lock and no fsync, so write only when there is something to clean up.
    if (live.length < rows.length) this.database.run('DELETE FROM presence WHERE expires_at <= ?', now);
    return live.map((row) => JSON.parse(row.json) as WorkerPresence);
  }

  async ping(): Promise<void> {
    this.database.get('SELECT 1');
  }

  async close(): Promise<void> {
    // Holds neither timers nor subscriptions.
  }
}
