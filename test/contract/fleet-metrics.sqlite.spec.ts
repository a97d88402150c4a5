import { describe, expect, it } from '@jest/globals';
import { EmbeddedDatabase } from '../../src/ports/embedded/embedded-database.js';
import { SqliteFleetMetrics } from '../../src/ports/fleet-metrics/sqlite-fleet-metrics.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { ManualClock } from '../support/manual-clock.js';
import { fleetMetricsContract } from './fleet-metrics.contract.js';

fleetMetricsContract('SQLite', async () => {
  const dataDir = temporaryDataDir();
  const clock = new ManualClock();
  const databases: EmbeddedDatabase[] = [];
  const adapter = () => {
    const database = EmbeddedDatabase.open(dataDir.path);
    databases.push(database);
    return new SqliteFleetMetrics(database, clock);
  };
  return {
    metrics: adapter(),
    now: () => clock.now(),
    resolutionMs: 1_000,
    again: async () => adapter(),
    close: async () => {
      databases.forEach((database) => database.close());
      dataDir.remove();
    },
  };
});

// How long an engine keeps samples is its own affair: CloudWatch keeps them for 15 months.
describe('SQLite fleet metrics', () => {
  it('keep a day, and nothing older', async () => {
    const dataDir = temporaryDataDir();
    const clock = new ManualClock();
    const database = EmbeddedDatabase.open(dataDir.path);
    const metrics = new SqliteFleetMetrics(database, clock);
    const put = (queueDepth: number) =>
      metrics.put({ at: clock.now(), queueDepth, inFlight: 0, busyWorkers: 0, oldestTaskAgeSeconds: 0 });
    await put(1);
    clock.advance(86_400_000);
    await put(2);
    expect((await metrics.read(0)).map((sample) => sample.queueDepth)).toEqual([1, 2]);
    clock.advance(1);
    await put(3);
    expect((await metrics.read(0)).map((sample) => sample.queueDepth)).toEqual([2, 3]);
    database.close();
    await expect(metrics.ping()).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(put(4)).rejects.toMatchObject({ code: 'engine_unavailable' });
    dataDir.remove();
  });
});
