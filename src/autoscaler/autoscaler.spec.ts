import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { temporaryDataDir } from '../../test/support/data-dir.js';
import { eventually } from '../../test/support/eventually.js';
import { ManualClock } from '../../test/support/manual-clock.js';
import { SettingsModule } from '../config/settings.module.js';
import { type Environment, readSettings } from '../config/settings.js';
import { EuglenaError } from '../domain/errors.js';
import { EmbeddedDatabaseHandle } from '../ports/embedded/embedded-database.module.js';
import { EmbeddedDatabase } from '../ports/embedded/embedded-database.js';
import { FLEET_METRICS, type FleetMetrics } from '../ports/fleet-metrics/fleet-metrics.port.js';
import { ChildProcessFleet } from '../ports/fleet/child-process-fleet.js';
import { FLEET, type FleetState } from '../ports/fleet/fleet.port.js';
import { Autoscaler, FIRST_DECISION_AFTER_MS } from './autoscaler.js';
import { AutoscalerModule } from './autoscaler.module.js';

/** Between two decisions by default, in ms. */
const DECISION_INTERVAL_MS = 120_000;
/** An agent that has nothing to do, and ends with its parent. */
const IDLE_AGENT = "process.on('disconnect', () => process.exit(0)); setInterval(() => undefined, 1_000)";

/** The fleet as usual, until its engine is out of reach. */
class FragileFleet extends ChildProcessFleet {
  outOfReach = false;
  override async state(): Promise<FleetState> {
    if (this.outOfReach) throw new EuglenaError('engine_unavailable', 'host-7 refused the connection');
    return super.state();
  }
}

describe('the autoscaler', () => {
  let clock: ManualClock;
  let dataDir: ReturnType<typeof temporaryDataDir>;
  let fleet: FragileFleet;
  let app: NestFastifyApplication;

  beforeEach(() => {
    clock = new ManualClock();
    dataDir = temporaryDataDir();
  });
  afterEach(async () => {
    const handle = app.get(EmbeddedDatabaseHandle, { strict: false });
    await app.close();
    handle.close();
    dataDir.remove();
  });

  const start = async (env: Environment = {}) => {
    const settings = readSettings({
      EUGLENA_ROLE: 'autoscaler',
      EUGLENA_DATA_DIR: dataDir.path,
      MAX_WORKERS: '3',
      ...env,
    });
    fleet = new FragileFleet({ command: [process.execPath, '-e', IDLE_AGENT], env: process.env, clock });
    const module = await Test.createTestingModule({
      imports: [SettingsModule.with(settings, clock), AutoscalerModule],
    })
      .overrideProvider(FLEET)
      .useValue(fleet)
      .compile();
    module.useLogger(false);
    app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
    await app.listen(0, '127.0.0.1');
    return app.get(Autoscaler);
  };
  const put = (queueDepth: number, busyWorkers = 0) =>
    app.get<FleetMetrics>(FLEET_METRICS, { strict: false }).put({
      at: clock.now(),
      queueDepth,
      inFlight: busyWorkers,
      busyWorkers,
      oldestTaskAgeSeconds: 0,
    });

  it('grows the fleet at once, and shrinks it when the need is 5 minutes past', async () => {
    const autoscaler = await start();
    await put(2);
    expect(await autoscaler.decide()).toMatchObject({
      current: 0,
      desired: 2,
      rule: 'backlog',
      outcome: 'applied',
    });
    await eventually('two agents run', async () => (await fleet.state()).running === 2);
    clock.advance(120_000);
    await put(0, 1);
    expect(await autoscaler.decide()).toMatchObject({ desired: 2, rule: 'recent_peak', outcome: 'held' });
    clock.advance(180_001);
    await put(0, 1);
    expect(await autoscaler.decide()).toMatchObject({ desired: 1, rule: 'backlog', outcome: 'applied' });
    await eventually('one agent runs', async () => (await fleet.state()).running === 1);
  });

  it('decides 15 seconds after the start and then every 2 minutes', async () => {
    const autoscaler = await start();
    await put(1);
    clock.advance(FIRST_DECISION_AFTER_MS - 1);
    expect(autoscaler.decisions).toHaveLength(0);
    clock.advance(1);
    await eventually('the first decision', () => autoscaler.decisions.length === 1);
    clock.advance(DECISION_INTERVAL_MS - 1);
    expect(autoscaler.decisions).toHaveLength(1);
    clock.advance(1);
    await eventually('the second decision', () => autoscaler.decisions.length === 2);
    expect(autoscaler.decisions.map(({ rule }) => rule)).toEqual(['stale_data', 'backlog']);
  });

  it('starts the minimum and holds it while there are no metrics', async () => {
    const autoscaler = await start();
    expect(await autoscaler.decide()).toMatchObject({ desired: 1, rule: 'no_data', outcome: 'applied' });
    expect(await autoscaler.decide()).toMatchObject({ desired: 1, rule: 'no_data', outcome: 'held' });
    await expect(autoscaler.ping()).rejects.toMatchObject({ code: 'engine_unavailable' });
    await put(0);
    expect(await autoscaler.decide()).toMatchObject({ desired: 1, rule: 'minimum', outcome: 'held' });
    await expect(autoscaler.ping()).resolves.toBeUndefined();
  });

  it('holds and says so when the metrics cannot be read', async () => {
    const autoscaler = await start();
    await fleet.setDesired(2);
    const outside = EmbeddedDatabase.open(dataDir.path);
    outside.define('DROP TABLE fleet_samples');
    outside.close();
    expect(await autoscaler.decide()).toMatchObject({
      desired: 2,
      rule: 'no_data',
      outcome: 'held',
      reason: 'The metrics cannot be read.',
    });
    await expect(autoscaler.ping()).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it('changes nothing when the fleet cannot be asked or told, and goes on', async () => {
    const autoscaler = await start();
    await put(2);
    fleet.outOfReach = true;
    expect(await autoscaler.decide()).toMatchObject({
      desired: null,
      rule: null,
      outcome: 'failed',
      reason: 'The fleet cannot be asked.',
    });
    fleet.outOfReach = false;
    expect(await autoscaler.decide()).toMatchObject({ desired: 2, outcome: 'applied', reason: null });
    await expect(autoscaler.ping()).resolves.toBeUndefined();
    await fleet.close();
    expect(await autoscaler.decide()).toMatchObject({
      desired: 2,
      outcome: 'failed',
      reason: 'The fleet did not take the new count.',
    });
  });

  it('only records in role all, whose agent runs in the same process', async () => {
    const autoscaler = await start({ EUGLENA_ROLE: 'all' });
    await put(2);
    expect(await autoscaler.decide()).toMatchObject({ current: 0, desired: 2, outcome: 'dry_run' });
    expect(await fleet.state()).toEqual({ desired: 0, running: 0, pending: 0 });
  });

  it('only records with AUTOSCALER_DRY_RUN', async () => {
    const autoscaler = await start({ AUTOSCALER_DRY_RUN: 'true' });
    await put(2);
    expect(await autoscaler.decide()).toMatchObject({ current: 0, desired: 2, outcome: 'dry_run' });
    expect(await fleet.state()).toEqual({ desired: 0, running: 0, pending: 0 });
  });

  it('shows the last 500 decisions, newest first, with all that they were made from', async () => {
    const autoscaler = await start();
    await fleet.setDesired(1);
    for (let count = 0; count < 500; count += 1) await autoscaler.decide();
    clock.advance(5_000);
    await put(2, 1);
    clock.advance(5_000);
    await autoscaler.decide();
    const response = await fetch(`${await app.getUrl()}/autoscaler/decisions`);
    const { decisions } = (await response.json()) as { decisions: unknown[] };
    expect(decisions).toHaveLength(500);
    expect(decisions[0]).toEqual({
      at: new Date(clock.now()).toISOString(),
      current: 1,
      desired: 3,
      outcome: 'applied',
      rule: 'backlog',
      explanation: 'The waiting and the running tasks, divided by the target for each worker.',
      reason: null,
      inputs: {
        ready: 2,
        in_flight: 1,
        busy_workers: 1,
        pending: 0,
        data_age_seconds: 5,
        mean_queue_depth: null,
        recent_peak: 3,
        target_messages_per_worker: 1,
        min_workers: 1,
        max_workers: 3,
      },
    });
    expect(decisions[1]).toMatchObject({ rule: 'no_data', outcome: 'held' });
  });
});
