import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type AwsServer, startAwsServer } from '../support/servers/aws-server.js';

/** The bundle as Lambda runs it: a process of its own that gets an event, against a server of CloudWatch's and ECS's protocols. */

const BUNDLE = pathToFileURL(fileURLToPath(new URL('../../dist/lambda.js', import.meta.url))).href;
const [CLUSTER, SERVICE, QUEUE] = ['euglena-cluster', 'euglena-agent', 'agent.mandates'];
const EVENT = {
  version: '0',
  id: '53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa',
  'detail-type': 'Scheduled Event',
  source: 'aws.events',
  account: '123456789012',
  time: '2026-01-15T12:00:00Z',
  region: 'us-east-2',
  resources: ['arn:aws:events:us-east-2:123456789012:rule/lambda-autoscaling'],
  detail: {},
};
/** Hands the event to the handler so many times, as one warm execution environment does. */
const RUNTIME = `
const { handler } = await import(process.env.BUNDLE);
const outcomes = [];
for (let count = Number(process.env.INVOCATIONS); count > 0; count -= 1) {
  outcomes.push(await handler(JSON.parse(process.env.EVENT)).catch((error) => ({ error: error.message })));
}
process.stderr.write('OUTCOMES' + JSON.stringify(outcomes));
`;

interface Outcome {
  readonly desired?: number;
  readonly outcome?: string;
  readonly rule?: string;
  readonly error?: string;
}

describe('the Lambda function', () => {
  let server: AwsServer;
  beforeEach(async () => {
    server = await startAwsServer();
    server.ecs.create(CLUSTER, SERVICE, 3);
  });
  afterEach(() => server.close());

  const invoke = async (env: Record<string, string> = {}, invocations = 1) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', RUNTIME], {
      env: {
        ...server.environment,
        ECS_CLUSTER: CLUSTER,
        ECS_SERVICE: SERVICE,
        BUNDLE,
        EVENT: JSON.stringify(EVENT),
        INVOCATIONS: String(invocations),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [out, err] = [child.stdout, child.stderr].map((stream) => {
      const chunks: string[] = [];
      stream.setEncoding('utf8').on('data', (text: string) => chunks.push(text));
      return chunks;
    });
    await once(child, 'close');
    const json = err?.join('').split('OUTCOMES')[1];
    if (json === undefined) throw new Error(`the function did not run: ${err?.join('')}`);
    const lines = (out?.join('') ?? '').split('\n').filter((line) => line !== '');
    return {
      outcomes: JSON.parse(json) as Outcome[],
      log: lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    };
  };
  const publish = (QueueDepth: number, InFlight = 0, BusyWorkers = 0, ageSeconds = 10) => {
    for (const [MetricName, Value] of Object.entries({ QueueDepth, InFlight, BusyWorkers })) {
      server.cloudWatch.plant('Euglena/RabbitMQ', {
        MetricName,
        Dimensions: [{ Name: 'QueueName', Value: QUEUE }],
        Timestamp: Date.now() / 1_000 - ageSeconds,
        Value,
        StorageResolution: 1,
      });
    }
  };
  const operations = () => server.calls.map(({ operation }) => operation);
  const updates = () => server.calls.filter(({ operation }) => operation === 'UpdateService');

  it('reads the figures and the service, and sets another count with the right arguments', async () => {
    publish(4, 1, 1);
    const { outcomes, log } = await invoke();
    expect(outcomes).toMatchObject([{ current: 3, desired: 5, rule: 'backlog', outcome: 'applied' }]);
    expect(operations()).toEqual(['DescribeServices', 'GetMetricData', 'DescribeServices', 'UpdateService']);
    expect(server.calls[0]?.input).toEqual({ cluster: CLUSTER, services: [SERVICE] });
    const stat = (MetricName: string) => ({
      Metric: {
        Namespace: 'Euglena/RabbitMQ',
        MetricName,
        Dimensions: [{ Name: 'QueueName', Value: QUEUE }],
      },
      Period: 10,
      Stat: 'Average',
    });
    const { StartTime, EndTime, ...query } = server.calls[1]?.input ?? {};
    expect(query).toEqual({
      MetricDataQueries: [
        { Id: 'depth', MetricStat: stat('QueueDepth') },
        { Id: 'flight', MetricStat: stat('InFlight') },
        { Id: 'busy', MetricStat: stat('BusyWorkers') },
        { Id: 'age', MetricStat: stat('OldestTaskAgeSeconds') },
      ],
    });
    expect(Date.now() / 1_000 - Number(StartTime)).toBeCloseTo(300, -2);
    expect(Number(EndTime)).toBeGreaterThan(Date.now() / 1_000);
    expect(server.calls[3]?.input).toEqual({ cluster: CLUSTER, service: SERVICE, desiredCount: 5 });
    expect(log.at(-1)).toMatchObject({ level: 'info', message: 'decision', desired: 5, outcome: 'applied' });
  });

  it('is idempotent: the same event again, warm or cold, updates nothing', async () => {
    publish(5);
    const warm = await invoke({}, 3);
    expect(warm.outcomes.map(({ outcome }) => outcome)).toEqual(['applied', 'held', 'held']);
    const cold = await invoke();
    expect(cold.outcomes).toMatchObject([{ desired: 5, outcome: 'held' }]);
    expect(updates()).toHaveLength(1);
  });

  it.each([
    [0, 1],
    [5, 5],
    [100, 11],
  ])('with AUTOSCALER_POLICY=queue-depth wants for a depth of %i %i workers', async (depth, desired) => {
    publish(depth);
    const { outcomes } = await invoke({ AUTOSCALER_POLICY: 'queue-depth' });
    expect(outcomes).toMatchObject([{ desired }]);
    expect(updates().map(({ input }) => input['desiredCount'])).toEqual([desired]);
  });

  it('never scales in on trouble: it holds, says so in one line, and fails when the service cannot be asked', async () => {
    const holds = async (rule: string) => {
      const { outcomes, log } = await invoke({}, 2);
      expect(outcomes).toMatchObject([
        { desired: 3, rule, outcome: 'held' },
        { desired: 3, rule, outcome: 'held' },
      ]);
      expect(log.filter(({ level }) => level === 'error')).toHaveLength(1);
    };
    await holds('no_data');
    publish(0, 0, 0, 100);
    await holds('stale_data');
    publish(-1);
    await holds('unusable_data');
    server.disturb(({ operation }) =>
      operation === 'GetMetricData' ? { status: 403, name: 'AccessDeniedException' } : null,
    );
    await holds('no_data');
    server.disturb(null);
    const missing = await invoke({ ECS_SERVICE: 'nobody' }, 2);
    expect(missing.outcomes).toEqual(Array(2).fill({ error: 'The fleet cannot be asked.' }));
    expect(missing.log.filter(({ level }) => level === 'error')).toEqual([
      {
        level: 'error',
        message: 'The fleet cannot be asked. The count of agents does not fall until that is over.',
        reason: 'ECS: the service nobody of cluster euglena-cluster does not exist.',
      },
    ]);
    expect(updates()).toEqual([]);
  });

  it('says what its environment lacks', async () => {
    const { outcomes } = await invoke({ ECS_CLUSTER: '', MAX_WORKERS: '0' });
    expect(outcomes[0]?.error).toContain('MAX_WORKERS: must be at least 1');
  });
});
