import {
  CloudWatchClient,
  GetMetricDataCommand,
  type MetricDataResult,
  PutMetricDataCommand,
  type StandardUnit,
} from '@aws-sdk/client-cloudwatch';
import { type Clock } from '../../domain/clock.js';
import { AwsCalls, type AwsPlace, clientSettings } from '../aws/aws-calls.js';
import { type FleetMetrics, type FleetSample } from './fleet-metrics.port.js';

const NAMESPACE = 'Euglena/RabbitMQ';
/** The step of the metrics role. CloudWatch keeps datapoints of less than a minute for 3 hours. */
const PERIOD_SECONDS = 10;
const KEPT_MS = 3 * 3_600_000;
/** Another clock may be ahead; what it wrote is seen, and judged by who reads it. In ms. */
const AHEAD_MS = 300_000;
const READ_LIMIT = 1_000;
/** An answer of 3 hours comes in one page; more than this is no answer. */
const PAGES_MAX = 20;

/** The figures in CloudWatch's words, by the id that a query has for each. */
const METRICS = {
  depth: { name: 'QueueDepth', unit: 'Count', of: (sample: FleetSample) => sample.queueDepth },
  flight: { name: 'InFlight', unit: 'Count', of: (sample: FleetSample) => sample.inFlight },
  busy: { name: 'BusyWorkers', unit: 'Count', of: (sample: FleetSample) => sample.busyWorkers },
  age: {
    name: 'OldestTaskAgeSeconds',
    unit: 'Seconds',
    of: (sample: FleetSample) => sample.oldestTaskAgeSeconds,
  },
} as const satisfies Record<
  string,
  { name: string; unit: StandardUnit; of: (sample: FleetSample) => number | null }
>;
type MetricId = keyof typeof METRICS;
/** What is put for alarms alone. */
const PUT_ONLY = {
  name: 'DeadLetters',
  unit: 'Count',
  of: (sample: FleetSample) => sample.deadLetters ?? null,
} as const;
type Series = Record<MetricId, Map<number, number>>;

/**
 * Fleet metrics in Amazon CloudWatch: custom metrics of one-second resolution, read as means of 10 seconds. A moment comes
 * back as the beginning of its 10 seconds, and only once all its figures can be seen: CloudWatch shows them one by one.
 */
export class CloudWatchFleetMetrics implements FleetMetrics {
  private readonly client: CloudWatchClient;
  private readonly calls = new AwsCalls('CloudWatch');
  private readonly dimensions;

  constructor(
    place: AwsPlace,
    queueName: string,
    private readonly clock: Clock,
  ) {
    this.client = new CloudWatchClient(clientSettings(place));
    this.dimensions = [{ Name: 'QueueName', Value: queueName }];
  }

  async put(sample: FleetSample): Promise<void> {
    const data = [...Object.values(METRICS), PUT_ONLY].flatMap(({ name, unit, of }) => {
      const value = of(sample);
      if (value === null) return [];
      return [
        {
          MetricName: name,
          Dimensions: this.dimensions,
          Timestamp: new Date(sample.at),
          Value: value,
          Unit: unit,
          StorageResolution: 1,
        },
      ];
    });
    const command = new PutMetricDataCommand({ Namespace: NAMESPACE, MetricData: data });
    await this.calls.call((abortSignal) => this.client.send(command, { abortSignal }));
  }

  async read(since: number): Promise<readonly FleetSample[]> {
    const from = Math.max(since, this.clock.now() - KEPT_MS);
    const series = await this.calls.call((signal) => this.series(from, signal));
    const moments = [...series.depth.keys()].sort((a, b) => a - b);
    return moments.flatMap((at) => (at < since ? [] : sampleAt(at, series))).slice(-READ_LIMIT);
  }

  ping(): Promise<void> {
    return this.calls.ping();
  }

  async close(): Promise<void> {
    this.client.destroy();
  }

  private async series(from: number, abortSignal: AbortSignal): Promise<Series> {
    const series: Series = { depth: new Map(), flight: new Map(), busy: new Map(), age: new Map() };
    let token: string | undefined;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const answer = await this.client.send(
        new GetMetricDataCommand({
          MetricDataQueries: this.queries(),
          StartTime: new Date(from),
          EndTime: new Date(this.clock.now() + AHEAD_MS),
          ...(token === undefined ? {} : { NextToken: token }),
        }),
        { abortSignal },
      );
      for (const result of answer.MetricDataResults ?? []) take(result, series);
      token = answer.NextToken;
      if (token === undefined) return series;
    }
    throw new Error(`CloudWatch answers more than ${PAGES_MAX} pages`);
  }

  private queries() {
    return Object.entries(METRICS).map(([Id, { name }]) => ({
      Id,
      MetricStat: {
        Metric: { Namespace: NAMESPACE, MetricName: name, Dimensions: this.dimensions },
        Period: PERIOD_SECONDS,
        Stat: 'Average',
      },
    }));
  }
}

function take({ Id, Timestamps = [], Values = [] }: MetricDataResult, series: Series): void {
  if (Id === undefined || !(Id in series)) return;
  const values = series[Id as MetricId];
  Timestamps.forEach((time, index) => values.set(time.getTime(), Values[index] ?? Number.NaN));
}

/** None while a figure that the decision needs is not to be seen. */
function sampleAt(at: number, { depth, flight, busy, age }: Series): FleetSample[] {
  const [queueDepth, inFlight, busyWorkers] = [depth.get(at), flight.get(at), busy.get(at)];
  if (queueDepth === undefined || inFlight === undefined || busyWorkers === undefined) return [];
  return [{ at, queueDepth, inFlight, busyWorkers, oldestTaskAgeSeconds: age.get(at) ?? null }];
}
