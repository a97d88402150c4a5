import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  desiredWorkers,
  explain,
  lookBackMs,
  SCALING_WINDOW_MS,
  type ScalingSample,
  type ScalingSettings,
  STALE_AFTER_MS,
  type Wish,
} from './scaling.js';

const NOW = Date.UTC(2026, 0, 15, 12);
const SETTINGS: ScalingSettings = {
  policy: 'backlog',
  targetMessagesPerWorker: 1,
  minWorkers: 1,
  maxWorkers: 11,
  scaleInAfterMs: 300_000,
};
const QUEUE_DEPTH: ScalingSettings = { ...SETTINGS, policy: 'queue-depth' };

function sample(queueDepth: number, inFlight = 0, busyWorkers = 0, ageMs = 5_000): ScalingSample {
  return { at: NOW - ageMs, queueDepth, inFlight, busyWorkers };
}

function decide(
  samples: ScalingSample[],
  current = 1,
  settings: ScalingSettings = SETTINGS,
  history: Wish[] = [],
  pending = 0,
) {
  return desiredWorkers({ now: NOW, current, samples, pending }, settings, history);
}

describe('the backlog policy', () => {
  it.each([
    [0, 1, 'minimum'],
    [1, 1, 'backlog'],
    [5, 5, 'backlog'],
    [11, 11, 'backlog'],
    [100, 11, 'maximum'],
  ])('wants for %i waiting tasks %i workers (%s)', (ready, desired, rule) => {
    expect(decide([sample(ready)])).toMatchObject({ desired, rule });
  });

  it('keeps 11 workers when nothing waits and 11 are busy', () => {
    expect(decide([sample(0, 11, 11)], 11)).toMatchObject({ desired: 11, rule: 'backlog' });
  });

  it('counts work in flight that no worker reported, and workers whose work the queue no longer counts', () => {
    expect(decide([sample(2, 3, 0)]).desired).toBe(5);
    expect(decide([sample(2, 0, 3)]).desired).toBe(5);
    expect(decide([sample(2, 3, 3)]).desired).toBe(5);
  });

  it('divides by the target, and never goes below the busy workers', () => {
    const settings = { ...SETTINGS, targetMessagesPerWorker: 4 };
    expect(decide([sample(9)], 1, settings)).toMatchObject({ desired: 3, rule: 'backlog' });
    expect(decide([sample(0, 6, 6)], 6, settings)).toMatchObject({ desired: 6, rule: 'busy_workers' });
  });

  it('stops at the maximum even if more workers are busy', () => {
    expect(decide([sample(0, 20, 20)], 20)).toMatchObject({ desired: 11, rule: 'maximum' });
  });

  it('follows the newest datapoint, not the mean', () => {
    const rising = [sample(0, 0, 0, 250_000), sample(0, 0, 0, 130_000), sample(11, 0, 0, 10_000)];
    expect(decide(rising).desired).toBe(11);
    expect(decide(rising.reverse()).desired).toBe(11);
  });

  it('grows at once, and shrinks when a spike within a minute is 5 minutes old', () => {
    const at = (ms: number, queueDepth: number): ScalingSample => ({
      at: NOW + ms,
      queueDepth,
      inFlight: 0,
      busyWorkers: 0,
    });
    const samples = [at(0, 0), at(30_000, 1_000), at(60_000, 0)];
    const look = (ms: number, current: number, history: readonly Wish[]) =>
      desiredWorkers(
        {
          now: NOW + ms,
          current,
          samples: [...samples.filter(({ at: time }) => time <= NOW + ms), at(ms, 0)],
        },
        SETTINGS,
        history,
      );
    const up = desiredWorkers({ now: NOW + 30_000, current: 1, samples: samples.slice(0, 2) }, SETTINGS, []);
    expect(up).toMatchObject({ desired: 11, rule: 'maximum' });
    const after = look(60_000, 11, up.history);
    expect(after).toMatchObject({ desired: 11, rule: 'recent_peak' });
    const waits = look(30_000 + SCALING_WINDOW_MS, 11, after.history);
    expect(waits).toMatchObject({ desired: 11, rule: 'recent_peak' });
    const down = look(30_001 + SCALING_WINDOW_MS, 11, waits.history);
    expect(down).toMatchObject({ desired: 1, rule: 'minimum' });
  });

  it('remembers a recent peak from the samples alone, for a decider without a memory', () => {
    const samples = [sample(7, 0, 0, 200_000), sample(0)];
    expect(decide(samples, 9)).toMatchObject({ desired: 7, rule: 'recent_peak' });
    expect(decide(samples, 1)).toMatchObject({ desired: 1 });
  });

  it('shrinks as soon or as late as it is told to', () => {
    const samples = [sample(7, 0, 0, 200_000), sample(0)];
    expect(decide(samples, 9, { ...SETTINGS, scaleInAfterMs: 200_000 }).desired).toBe(7);
    expect(decide(samples, 9, { ...SETTINGS, scaleInAfterMs: 199_999 }).desired).toBe(1);
    const long = { ...SETTINGS, scaleInAfterMs: 900_000 };
    expect(lookBackMs(long)).toBe(900_000);
    expect(decide([sample(7, 0, 0, 900_000), sample(0)], 9, long).desired).toBe(7);
    expect(decide([sample(0)], 9, long, [{ at: NOW - 900_000, workers: 8 }]).desired).toBe(8);
  });

  it('does not shrink while workers start, and grows all the same', () => {
    expect(decide([sample(0)], 9, SETTINGS, [], 2)).toMatchObject({ desired: 9, rule: 'workers_starting' });
    expect(decide([sample(0)], 9, QUEUE_DEPTH, [], 2)).toMatchObject({
      desired: 9,
      rule: 'workers_starting',
    });
    expect(decide([sample(11)], 9, SETTINGS, [], 2)).toMatchObject({ desired: 11, rule: 'backlog' });
  });

  it('does not shrink in the first moment after an outage', () => {
    const blind = desiredWorkers({ now: NOW - 10_000, current: 9, samples: [] }, SETTINGS, []);
    expect(decide([sample(0)], 9, SETTINGS, [...blind.history])).toMatchObject({
      desired: 9,
      rule: 'recent_peak',
    });
  });
});

describe('a decision without usable data', () => {
  it.each([
    ['none at all', [], 'no_data'],
    ['an old one', [sample(0, 0, 0, STALE_AFTER_MS + 1)], 'stale_data'],
    ['a very old one', [sample(0, 0, 0, SCALING_WINDOW_MS * 2)], 'stale_data'],
    ['not a number', [sample(3), sample(Number.NaN, 0, 0, 1)], 'unusable_data'],
    ['negative', [sample(-1)], 'unusable_data'],
    ['infinite', [sample(0, Number.POSITIVE_INFINITY)], 'unusable_data'],
    ['from the future', [sample(0, 0, 0, -61_000)], 'unusable_data'],
    ['dated with no time', [{ ...sample(0), at: Number.NaN }], 'unusable_data'],
  ])('keeps the count: %s', (_, samples, rule) => {
    expect(decide(samples, 7)).toMatchObject({ desired: 7, rule });
    expect(decide(samples, 0)).toMatchObject({ desired: 1, rule });
  });

  it('goes by what is usable when another clock runs ahead', () => {
    expect(decide([sample(4), sample(9, 0, 0, -120_000)])).toMatchObject({ desired: 4, rule: 'backlog' });
    expect(decide([sample(6, 0, 0, -30_000)])).toMatchObject({ desired: 6 });
  });

  it('takes a datapoint that is exactly 90 s old', () => {
    expect(decide([sample(4, 0, 0, STALE_AFTER_MS)]).desired).toBe(4);
  });
});

describe('the queue-depth policy', () => {
  it.each([
    [0, 1],
    [5, 5],
    [100, 11],
  ])('for a depth of %i wants %i workers, whatever runs now', (depth, desired) => {
    for (const current of [1, 3, 11]) {
      expect(decide([sample(depth)], current, QUEUE_DEPTH).desired).toBe(desired);
    }
  });

  it.each([
    [[0, 0, 0], 1, 'queue_empty'],
    [[5, 5, 5], 5, 'queue_depth'],
    [[0, 0, 0, 0, 11], 3, 'queue_depth'],
    [[100], 11, 'maximum'],
    [[0, 0, 1], 1, 'queue_depth'],
  ])('for depths %j wants %i workers (%s)', (depths, desired, rule) => {
    const samples = depths.map((depth, index) => sample(depth, 9, 9, 10_000 * (depths.length - index)));
    expect(decide(samples, 8, QUEUE_DEPTH)).toMatchObject({ desired, rule });
  });

  it('returns to MIN_WORKERS for an empty queue, and keeps the count for a missing one', () => {
    const settings = { ...QUEUE_DEPTH, minWorkers: 3 };
    expect(decide([sample(0)], 8, settings).desired).toBe(3);
    expect(decide([], 8, settings)).toMatchObject({ desired: 8, rule: 'no_data' });
    expect(decide([sample(Number.NaN)], 8, settings)).toMatchObject({ desired: 8, rule: 'unusable_data' });
  });
});

describe('every decision', () => {
  const count = fc.integer({ min: 0, max: 2_000 });
  const samples = fc.array(
    fc.record({
      at: fc.integer({ min: NOW - 400_000, max: NOW + 100_000 }),
      queueDepth: fc.oneof(count, fc.double()),
      inFlight: count,
      busyWorkers: fc.integer({ min: 0, max: 40 }),
    }),
    { maxLength: 12 },
  );
  const settings = fc
    .record({
      policy: fc.constantFrom('backlog' as const, 'queue-depth' as const),
      targetMessagesPerWorker: fc.integer({ min: 1, max: 50 }),
      minWorkers: fc.integer({ min: 0, max: 20 }),
      maxWorkers: fc.integer({ min: 1, max: 40 }),
      scaleInAfterMs: fc.integer({ min: 0, max: 600_000 }),
    })
    .filter(({ minWorkers, maxWorkers }) => minWorkers <= maxWorkers);
  const history = fc.array(
    fc.record({ at: fc.integer({ min: NOW - 400_000, max: NOW }), workers: fc.integer({ min: 0, max: 60 }) }),
    { maxLength: 5 },
  );
  const HOLDS = ['no_data', 'stale_data', 'unusable_data'];

  it('is a whole number within the limits, or holds a count that is not below the minimum', () => {
    fc.assert(
      fc.property(samples, settings, history, fc.nat(60), (seen, config, past, current) => {
        const { desired, rule } = decide(seen, current, config, past);
        expect(explain(rule)).toMatch(/\.$/);
        expect(Number.isSafeInteger(desired)).toBe(true);
        if (HOLDS.includes(rule)) return expect(desired).toBe(Math.max(current, config.minWorkers));
        expect(desired).toBeGreaterThanOrEqual(config.minWorkers);
        expect(desired).toBeLessThanOrEqual(config.maxWorkers);
      }),
    );
  });

  it('wants no fewer workers for more backlog', () => {
    fc.assert(
      fc.property(
        count,
        count,
        count,
        settings,
        history,
        fc.nat(60),
        (ready, more, u, config, past, current) => {
          const little = decide([sample(ready, u)], current, config, past).desired;
          const much = decide([sample(ready + more, u)], current, config, past).desired;
          expect(much).toBeGreaterThanOrEqual(little);
        },
      ),
    );
  });

  it('never goes below the busy workers, within the maximum, under the backlog policy', () => {
    fc.assert(
      fc.property(count, fc.nat(40), settings, history, fc.nat(60), (ready, busy, config, past, current) => {
        const { desired } = decide([sample(ready, 0, busy)], current, { ...config, policy: 'backlog' }, past);
        expect(desired).toBeGreaterThanOrEqual(Math.min(busy, config.maxWorkers));
      }),
    );
  });

  it('never takes workers away on missing, old or unusable data, nor while workers start', () => {
    const useless = fc.oneof(
      fc.record({ at: fc.integer({ min: NOW - 9e6, max: NOW - STALE_AFTER_MS - 1 }), queueDepth: count }),
      fc.record({ at: fc.integer({ min: NOW + 60_001, max: NOW + 9e6 }), queueDepth: count }),
      fc.record({
        at: fc.integer({ min: NOW - STALE_AFTER_MS, max: NOW }),
        queueDepth: fc.constantFrom(Number.NaN, -1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
      }),
    );
    const unseen = fc.array(
      useless.map((one) => ({ ...one, inFlight: 0, busyWorkers: 0 })),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(unseen, settings, history, fc.nat(60), (seen, config, past, current) => {
        const { desired } = decide(seen, current, { ...config, policy: 'backlog' }, past);
        expect(desired).toBe(Math.max(current, config.minWorkers));
      }),
    );
    fc.assert(
      fc.property(samples, settings, history, fc.nat(60), fc.integer({ min: 1, max: 9 }), (...drawn) => {
        const [seen, config, past, current, pending] = drawn;
        expect(decide(seen, current, config, past, pending).desired).toBeGreaterThanOrEqual(current);
      }),
    );
  });

  it('stays when it is made again at once', () => {
    fc.assert(
      fc.property(samples, settings, history, fc.nat(60), (seen, config, past, current) => {
        const first = decide(seen, current, config, past);
        expect(decide(seen, first.desired, config, [...first.history]).desired).toBe(first.desired);
        expect(decide(seen, first.desired, config, past).desired).toBe(first.desired);
      }),
    );
  });
});
