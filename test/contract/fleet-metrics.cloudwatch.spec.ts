import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CloudWatchFleetMetrics } from '../../src/ports/fleet-metrics/cloudwatch-fleet-metrics.js';
import { ManualClock } from '../support/manual-clock.js';
import { type AwsServer, startAwsServer } from '../support/servers/aws-server.js';
import { withEnvironment } from '../support/with-environment.js';
import { fleetMetricsContract } from './fleet-metrics.contract.js';

const QUEUE = 'agent.mandates';
const PERIOD_MS = 10_000;

fleetMetricsContract('CloudWatch', async () => {
  const clock = new ManualClock();
  const server = await startAwsServer(() => clock.now());
  const restore = withEnvironment(server.environment);
  const adapter = () => new CloudWatchFleetMetrics(server, QUEUE, clock);
  return {
    metrics: adapter(),
    now: () => clock.now(),
    resolutionMs: PERIOD_MS,
    again: async () => adapter(),
    close: async () => {
      restore();
      await server.close();
    },
  };
});

// Names, units, credentials and the ways of a distant service are CloudWatch's own.
describe('CloudWatch fleet metrics', () => {
  let clock: ManualClock;
  let server: AwsServer;
  let metrics: CloudWatchFleetMetrics;
  let restore: () => void;

  beforeEach(async () => {
    clock = new ManualClock();
    server = await startAwsServer(() => clock.now());
    restore = withEnvironment(server.environment);
    metrics = new CloudWatchFleetMetrics(server, QUEUE, clock);
  });
  afterEach(async () => {
    await metrics.close();
    restore();
    await server.close();
  });

  const sample = (queueDepth = 0) => ({
    at: clock.now(),
    queueDepth,
    inFlight: 2,
    busyWorkers: 1,
    oldestTaskAgeSeconds: 4.5,
  });
  const plant = (name: string, value: unknown, at = clock.now()) =>
    server.cloudWatch.plant('Euglena/RabbitMQ', {
      MetricName: name,
      Dimensions: [{ Name: 'QueueName', Value: QUEUE }],
      Timestamp: at / 1_000,
      Value: value,
      StorageResolution: 1,
    });

  it('puts all figures in one call, under the names that alarms and dashboards use', async () => {
    await metrics.put({ ...sample(), deadLetters: 7 });
    const Dimensions = [{ Name: 'QueueName', Value: QUEUE }];
    const common = { Dimensions, Timestamp: clock.now() / 1_000, StorageResolution: 1 };
    expect(server.calls.map(({ operation, input }) => ({ operation, input }))).toEqual([
      {
        operation: 'PutMetricData',
        input: {
          Namespace: 'Euglena/RabbitMQ',
          MetricData: [
            { ...common, MetricName: 'QueueDepth', Unit: 'Count', Value: 0 },
            { ...common, MetricName: 'InFlight', Unit: 'Count', Value: 2 },
            { ...common, MetricName: 'BusyWorkers', Unit: 'Count', Value: 1 },
            { ...common, MetricName: 'OldestTaskAgeSeconds', Unit: 'Seconds', Value: 4.5 },
            { ...common, MetricName: 'DeadLetters', Unit: 'Count', Value: 7 },
          ],
        },
      },
    ]);
  });

  it('reads by the beginning of 10 seconds, other queues aside', async () => {
    const other = new CloudWatchFleetMetrics(server, 'other', clock);
    clock.advance(7_300);
    await other.put(sample(9));
    await metrics.put(sample(3));
    const since = clock.now() - 60_000;
    expect(await metrics.read(since)).toEqual([{ ...sample(3), at: clock.now() - 7_300 }]);
    await other.close();
  });

  it('does not take a moment whose figures cannot all be seen yet', async () => {
    await metrics.put(sample(3));
    const seen = { ...sample(3) };
    clock.advance(PERIOD_MS);
    plant('QueueDepth', 0);
    plant('InFlight', 0);
    expect(await metrics.read(0)).toEqual([seen]);
  });

  it('shows values as they are, for whoever decides to judge them', async () => {
    const at = clock.now() + 120_000;
    plant('QueueDepth', -4, at);
    plant('InFlight', Number.NaN, at);
    plant('BusyWorkers', 0, at);
    expect(await metrics.read(0)).toEqual([
      { at, queueDepth: -4, inFlight: Number.NaN, busyWorkers: 0, oldestTaskAgeSeconds: null },
    ]);
  });

  it('refuses what CloudWatch refuses, and says it in our words', async () => {
    await expect(metrics.put({ ...sample(), queueDepth: Number.NaN })).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: 'CloudWatch: it did not do what it was asked.',
    });
  });

  it('tries again, three times at most, when it is throttled', async () => {
    let failures = 2;
    server.disturb(() => (failures-- > 0 ? { status: 400, name: 'ThrottlingException' } : null));
    await metrics.put(sample());
    expect(server.calls).toHaveLength(3);
    server.disturb(() => ({ status: 400, name: 'ThrottlingException' }));
    await expect(metrics.put(sample())).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: 'CloudWatch: it throttles the calls.',
    });
    expect(server.calls).toHaveLength(6);
  });

  it.each([
    ['AccessDeniedException', 'CloudWatch: it refuses the permission.'],
    ['ExpiredTokenException', 'CloudWatch: it refuses the credentials.'],
  ])('says what %s means, and does not ask again', async (name, message) => {
    server.disturb(() => ({ status: 403, name }));
    await expect(metrics.read(0)).rejects.toMatchObject({ code: 'engine_unavailable', message });
    expect(server.calls).toHaveLength(1);
  });

  it('is down from a failed call to one that goes well', async () => {
    server.disturb(() => 'cut');
    await expect(metrics.put(sample())).rejects.toMatchObject({ message: 'CloudWatch: it does not answer.' });
    await expect(metrics.ping()).rejects.toMatchObject({ code: 'engine_unavailable' });
    server.disturb(null);
    await metrics.put(sample());
    await expect(metrics.ping()).resolves.toBeUndefined();
  });

  it('has no patience with a server that never answers', async () => {
    server.disturb(() => 'hang');
    const hasty = new CloudWatchFleetMetrics({ ...server, answerTimeoutMs: 100 }, QUEUE, clock);
    await expect(hasty.read(0)).rejects.toMatchObject({ message: 'CloudWatch: it does not answer.' });
    expect(server.calls).toHaveLength(3);
    await hasty.close();
  });

  it('says that there are no credentials', async () => {
    const none = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_EC2_METADATA_DISABLED: 'true' };
    const restoreKeys = withEnvironment({
      ...none,
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      HOME: '/nowhere',
    });
    const poor = new CloudWatchFleetMetrics(server, QUEUE, clock);
    await expect(poor.put(sample())).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: 'CloudWatch: no AWS credentials were found.',
    });
    expect(server.calls).toEqual([]);
    await poor.close();
    restoreKeys();
  });
});
