import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { Autoscaler } from '../../src/autoscaler/autoscaler.js';
import { rootModule } from '../../src/boot/role-graph.js';
import { HealthService } from '../../src/boot/health.service.js';
import { type Role } from '../../src/config/known-settings.js';
import { readSettings } from '../../src/config/settings.js';
import { DepthSampler } from '../../src/metrics/depth-sampler.js';
import { EmbeddedDatabaseHandle } from '../../src/ports/embedded/embedded-database.module.js';
import { WORK_QUEUE, type WorkQueue } from '../../src/ports/work-queue/work-queue.port.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { ManualClock } from '../support/manual-clock.js';
import { type AwsServer, startAwsServer } from '../support/servers/aws-server.js';
import { withEnvironment } from '../support/with-environment.js';

/** Queue → metrics role → CloudWatch → autoscaler role → ECS, against a server of AWS's protocols. */

const [CLUSTER, SERVICE] = ['euglena-cluster', 'euglena-agent'];

let clock: ManualClock;
let server: AwsServer;
let dataDir: ReturnType<typeof temporaryDataDir>;
let restore: () => void;
let apps: NestFastifyApplication[];

beforeEach(async () => {
  clock = new ManualClock();
  server = await startAwsServer(() => clock.now());
  server.ecs.create(CLUSTER, SERVICE, 1);
  restore = withEnvironment(server.environment);
  dataDir = temporaryDataDir();
  apps = [];
});
afterEach(async () => {
  for (const app of apps) {
    const handle = app.get(EmbeddedDatabaseHandle, { strict: false });
    await app.close();
    handle.close();
  }
  restore();
  await server.close();
  dataDir.remove();
});

async function start(role: Role): Promise<NestFastifyApplication> {
  const settings = readSettings({
    ...server.environment,
    EUGLENA_ROLE: role,
    EUGLENA_DATA_DIR: dataDir.path,
    ECS_CLUSTER: CLUSTER,
    ECS_SERVICE: SERVICE,
  });
  const module = await Test.createTestingModule({ imports: [rootModule(settings, clock)] }).compile();
  module.useLogger(false);
  const app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
  apps.push(app);
  return app.init();
}

it('sizes the service by the queue, holds when CloudWatch fails, and says so in its health', async () => {
  const [metrics, autoscaler] = [await start('metrics'), await start('autoscaler')];
  const sampler = metrics.get(DepthSampler, { strict: false });
  const decider = autoscaler.get(Autoscaler, { strict: false });
  const queue = metrics.get<WorkQueue>(WORK_QUEUE, { strict: false });
  for (let count = 0; count < 5; count += 1) await queue.publish(Buffer.from('{}'));
  clock.advance(10_000);
  expect(await sampler.sample()).toMatchObject({ queueDepth: 5 });
  expect(await decider.decide()).toMatchObject({ current: 1, desired: 5, outcome: 'applied' });
  expect(server.calls.at(-1)?.input).toMatchObject({ desiredCount: 5 });

  const healthOf = async (app: NestFastifyApplication) =>
    (await app.get(HealthService, { strict: false }).report()).components;
  server.disturb(({ operation }) =>
    operation.includes('MetricData') ? { status: 400, name: 'AccessDeniedException' } : null,
  );
  clock.advance(10_000);
  expect(await sampler.sample()).toBeNull();
  expect(await decider.decide()).toMatchObject({ desired: 5, rule: 'no_data', outcome: 'held' });
  expect(await healthOf(metrics)).toMatchObject({
    metrics: { status: 'down' },
    'fleet-metrics': { status: 'down' },
    'work-queue': { status: 'up' },
  });
  expect(await healthOf(autoscaler)).toMatchObject({
    autoscaler: { status: 'down' },
    fleet: { status: 'up' },
  });
});
