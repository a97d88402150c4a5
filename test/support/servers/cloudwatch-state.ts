import { AwsError } from './aws-error.js';

interface Dimension {
  readonly Name: string;
  readonly Value: string;
}

interface Datum {
  readonly MetricName: string;
  readonly Dimensions?: readonly Dimension[];
  /** Epoch seconds, as the protocol has it. */
  readonly Timestamp?: number;
  readonly Value?: unknown;
  readonly Unit?: string;
  readonly StorageResolution?: number;
}

interface Query {
  readonly Id: string;
  readonly MetricStat: {
    readonly Metric: {
      readonly Namespace: string;
      readonly MetricName: string;
      readonly Dimensions?: readonly Dimension[];
    };
    readonly Period: number;
    readonly Stat: string;
  };
}

interface Point {
  /** Epoch seconds. */
  readonly at: number;
  readonly value: number;
  readonly resolution: number;
}

const HOUR = 3_600;
const DAY = 24 * HOUR;
/** Datapoints of one answer; the rest comes with the next token. */
const PAGE = 2_000;

/** Custom metrics as CloudWatch keeps them: what it refuses, how it sums up by period, and how long it shows which period. */
export class CloudWatchState {
  private readonly metrics = new Map<string, Point[]>();

  constructor(private readonly now: () => number) {}

  putMetricData(input: { Namespace: string; MetricData: readonly Datum[] }): object {
    if (!/^[^:].{0,254}$/.test(input.Namespace) || input.Namespace.startsWith('AWS/')) {
      throw new AwsError(400, 'InvalidParameterValueException', 'the namespace is not allowed');
    }
    for (const datum of input.MetricData) this.check(datum);
    for (const datum of input.MetricData) this.plant(input.Namespace, datum);
    return {};
  }

  /** Puts a datapoint there that no call could have: to see what a reader makes of it. */
  plant(namespace: string, { MetricName, Dimensions, Timestamp, Value, StorageResolution }: Datum): void {
    const key = keyOf(namespace, MetricName, Dimensions);
    const at = Timestamp ?? this.now() / 1_000;
    const points = this.metrics.get(key) ?? [];
    this.metrics.set(key, [...points, { at, value: Number(Value), resolution: StorageResolution ?? 60 }]);
  }

  getMetricData(input: {
    MetricDataQueries: readonly Query[];
    StartTime: number;
    EndTime: number;
    NextToken?: string;
  }): object {
    if (!(input.StartTime < input.EndTime)) {
      throw new AwsError(400, 'ValidationError', 'the start is not before the end');
    }
    const all = input.MetricDataQueries.map((query) => ({
      Id: query.Id,
      points: this.series(query, input.StartTime, input.EndTime),
    }));
    const from = Number(input.NextToken ?? 0);
    const to = from + PAGE;
    return {
      MetricDataResults: all.map(({ Id, points }) => {
        const page = points.slice(from, to);
        return {
          Id,
          Label: Id,
          Timestamps: page.map(([at]) => at),
          Values: page.map(([, value]) => (Number.isFinite(value) ? value : String(value))),
          StatusCode: points.length > to ? 'PartialData' : 'Complete',
        };
      }),
      ...(all.some(({ points }) => points.length > to) ? { NextToken: String(to) } : {}),
    };
  }

  /** Means by period, newest first. */
  private series({ MetricStat }: Query, start: number, end: number): [number, number][] {
    const { Metric, Period, Stat } = MetricStat;
    if (Stat !== 'Average') throw new AwsError(400, 'ValidationError', `no such statistic here: ${Stat}`);
    const oldest = this.now() / 1_000 - shownFor(Period);
    const from = Math.floor(start / Period) * Period;
    const sums = new Map<number, { sum: number; count: number }>();
    for (const { at, value, resolution } of this.metrics.get(
      keyOf(Metric.Namespace, Metric.MetricName, Metric.Dimensions),
    ) ?? []) {
      if (Period < resolution) continue; // Too coarse to be shown in so small steps.
      const moment = Math.floor(at / Period) * Period;
      if (moment < from || moment >= end || at < oldest) continue;
      const before = sums.get(moment) ?? { sum: 0, count: 0 };
      sums.set(moment, { sum: before.sum + value, count: before.count + 1 });
    }
    return [...sums]
      .map(([at, { sum, count }]): [number, number] => [at, sum / count])
      .sort(([a], [b]) => b - a);
  }

  private check({ MetricName, Timestamp, Value, StorageResolution, Dimensions = [] }: Datum): void {
    const at = Timestamp ?? this.now() / 1_000;
    const age = this.now() / 1_000 - at;
    const invalid = (what: string) =>
      new AwsError(400, 'InvalidParameterValueException', `${MetricName}: ${what}`);
    if (typeof Value !== 'number' || !Number.isFinite(Value) || Math.abs(Value) > 2 ** 360) {
      throw invalid(`not a value: ${String(Value)}`);
    }
    if (age > 14 * DAY || age < -2 * HOUR) throw invalid('the time is too far away');
    if (![undefined, 1, 60].includes(StorageResolution)) throw invalid('no such resolution');
    if (Dimensions.length > 30 || Dimensions.some((one) => one.Value === '')) throw invalid('bad dimensions');
  }
}

function keyOf(namespace: string, name: string, dimensions: readonly Dimension[] = []): string {
  const sorted = dimensions.map(({ Name, Value }) => `${Name}=${Value}`).sort();
  return [namespace, name, ...sorted].join('|');
}

/** How long datapoints of a period can be seen, in seconds. */
function shownFor(period: number): number {
  if (period < 60) return 3 * HOUR;
  if (period < 300) return 15 * DAY;
  return period < HOUR ? 63 * DAY : 455 * DAY;
}
