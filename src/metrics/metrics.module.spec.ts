import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { temporaryDataDir } from '../../test/support/data-dir.js';
import { eventually } from '../../test/support/eventually.js';
import { ManualClock } from '../../test/support/manual-clock.js';
import { SettingsModule } from '../config/settings.module.js';
import { readSettings } from '../config/settings.js';
import { type WorkerPresence } from '../domain/presence.js';
import { EmbeddedDatabaseHandle } from '../ports/embedded/embedded-database.module.js';
import { EmbeddedDatabase } from '../ports/embedded/embedded-database.js';
import { FLEET_METRICS, type FleetMetrics } from '../ports/fleet-metrics/fleet-metrics.port.js';
import { SqliteFleetMetrics } from '../ports/fleet-metrics/sqlite-fleet-metrics.js';
import { PRESENCE, type Presence } from '../ports/presence/presence.port.js';
import { WORK_QUEUE, type WorkQueue } from '../ports/work-queue/work-queue.port.js';
import { DepthSampler } from './depth-sampler.js';
import { MetricsModule } from './metrics.module.js';

const HELD = 'renamed_away';

describe('the metrics role', () => {
  const clock = new ManualClock();
  let dataDir: ReturnType<typeof temporaryDataDir>;
  let outside: EmbeddedDatabase;
  let app: NestFastifyApplication;

  beforeEach(async () => {
    dataDir = temporaryDataDir();
    outside = EmbeddedDatabase.open(dataDir.path);
    const settings = readSettings({ EUGLENA_ROLE: 'metrics', EUGLENA_DATA_DIR: dataDir.path });
    const module = await Test.createTestingModule({
      imports: [SettingsModule.with(settings, clock), MetricsModule],
    }).compile();
    module.useLogger(false);
    app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
    await app.listen(0, '127.0.0.1');
    await eventually('the first sample', async () => (await stored().read(0)).length === 1);
  });
  afterEach(async () => {
    const handle = app.get(EmbeddedDatabaseHandle, { strict: false });
    await app.close();
    handle.close();
    outside.close();
    dataDir.remove();
  });

  const stored = () => app.get<FleetMetrics>(FLEET_METRICS, { strict: false });
  const sampler = () => app.get(DepthSampler);
  const worker = (workerId: string, state: WorkerPresence['state'], running: number) =>
    app
      .get<Presence>(PRESENCE, { strict: false })
      .beat({ workerId, state, running, capacity: 1, pid: 1, startedAt: clock.now() }, 60_000);
  const publish = () => app.get<WorkQueue>(WORK_QUEUE, { strict: false }).publish(Buffer.from('{}'));
  const scrape = async () => {
    const response = await fetch(`${await app.getUrl()}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await response.text();
    return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  };

  it('publishes at once, with explicit zeros', async () => {
    expect(await stored().read(0)).toEqual([
      { at: clock.now(), queueDepth: 0, inFlight: 0, busyWorkers: 0, oldestTaskAgeSeconds: 0 },
    ]);
    await expect(sampler().ping()).resolves.toBeUndefined();
  });

  it('publishes what waits and who works, and shows it to Prometheus', async () => {
    await publish();
    await publish();
    await worker('free', 'free', 0);
    await worker('busy', 'working', 1);
    await worker('draining', 'draining', 1);
    await worker('done', 'draining', 0);
    clock.advance(4_000);
    expect(await sampler().sample()).toEqual({
      at: clock.now(),
      queueDepth: 2,
      inFlight: 0,
      busyWorkers: 2,
      oldestTaskAgeSeconds: 4,
      deadLetters: 0,
    });
    expect(await scrape()).toEqual([
      'euglena_queue_depth 2',
      'euglena_in_flight 0',
      'euglena_busy_workers 2',
      'euglena_oldest_task_age_seconds 4',
      'euglena_dead_letters 0',
      'euglena_metrics_publish_failures_total 0',
      `euglena_metrics_last_success_timestamp_seconds ${clock.now() / 1_000}`,
    ]);
  });

  it('publishes every 10 seconds until it is closed', async () => {
    for (const samples of [2, 3, 4]) {
      clock.advance(9_999);
      expect(await stored().read(0)).toHaveLength(samples - 1);
      clock.advance(1);
      await eventually('another sample', async () => (await stored().read(0)).length === samples);
    }
  });

  it.each(['queue_messages', 'presence'])(
    'publishes nothing, shows no old values and goes on when %s cannot be read',
    async (table) => {
      await publish();
      outside.define(`ALTER TABLE ${table} RENAME TO ${HELD}`);
      expect(await sampler().sample()).toBeNull();
      expect(await sampler().sample()).toBeNull();
      expect(await stored().read(0)).toHaveLength(1);
      await expect(sampler().ping()).rejects.toMatchObject({ code: 'engine_unavailable' });
      expect((await scrape())[0]).toBe('euglena_metrics_publish_failures_total 2');
      outside.define(`ALTER TABLE ${HELD} RENAME TO ${table}`);
      expect(await sampler().sample()).toMatchObject({ queueDepth: 1 });
      await expect(sampler().ping()).resolves.toBeUndefined();
    },
  );

  it('shows what it sees even when it cannot publish, counts that, and publishes again afterwards', async () => {
    await publish();
    outside.define('DROP TABLE fleet_samples');
    expect(await sampler().sample()).toBeNull();
    expect(await scrape()).toEqual(
      expect.arrayContaining(['euglena_queue_depth 1', 'euglena_metrics_publish_failures_total 1']),
    );
    await expect(sampler().ping()).rejects.toMatchObject({ code: 'engine_unavailable' });
    new SqliteFleetMetrics(outside, clock);
    expect(await sampler().sample()).toMatchObject({ queueDepth: 1 });
    expect(await stored().read(0)).toHaveLength(1);
  });
});
