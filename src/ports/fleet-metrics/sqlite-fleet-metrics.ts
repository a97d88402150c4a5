import { type Clock } from '../../domain/clock.js';
import { type EmbeddedDatabase } from '../embedded/embedded-database.js';
import { type FleetMetrics, type FleetSample } from './fleet-metrics.port.js';

/** Samples are kept for a day. In ms. */
const KEEP_MS = 86_400_000;
const READ_LIMIT = 1_000;

interface SampleRow {
  readonly at: number;
  readonly queue_depth: number;
  readonly in_flight: number;
  readonly busy_workers: number;
  readonly oldest_age: number | null;
}

/** Fleet metrics in the data folder, for one host. */
export class SqliteFleetMetrics implements FleetMetrics {
  constructor(
    private readonly database: EmbeddedDatabase,
    private readonly clock: Clock,
  ) {
    database.define(`
      CREATE TABLE IF NOT EXISTS fleet_samples (
        at INTEGER NOT NULL,
        queue_depth REAL NOT NULL,
        in_flight REAL NOT NULL,
        busy_workers REAL NOT NULL,
        oldest_age REAL
      );
      CREATE INDEX IF NOT EXISTS fleet_samples_at ON fleet_samples (at);
    `);
  }

  async put(sample: FleetSample): Promise<void> {
    this.database.transaction(() => {
      this.database.run('DELETE FROM fleet_samples WHERE at < ?', this.clock.now() - KEEP_MS);
      this.database.run(
        'INSERT INTO fleet_samples (at, queue_depth, in_flight, busy_workers, oldest_age) VALUES (?, ?, ?, ?, ?)',
        sample.at,
        sample.queueDepth,
        sample.inFlight,
        sample.busyWorkers,
        sample.oldestTaskAgeSeconds,
      );
    });
  }

  async read(since: number): Promise<readonly FleetSample[]> {
    const newestFirst = this.database.all<SampleRow>(
      'SELECT * FROM fleet_samples WHERE at >= ? ORDER BY at DESC, rowid DESC LIMIT ?',
      since,
      READ_LIMIT,
    );
    return newestFirst.reverse().map((row) => ({
      at: row.at,
      queueDepth: row.queue_depth,
      inFlight: row.in_flight,
      busyWorkers: row.busy_workers,
      oldestTaskAgeSeconds: row.oldest_age,
    }));
  }

  async ping(): Promise<void> {
    this.database.get('SELECT 1');
  }

  /** The boot code closes the database. */
  async close(): Promise<void> {}
}
