import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type FleetMetrics, type FleetSample } from '../../src/ports/fleet-metrics/fleet-metrics.port.js';

export interface FleetMetricsHarness {
  readonly metrics: FleetMetrics;
  /** The adapter's time, epoch ms, a multiple of {@link resolutionMs}. */
  now(): number;
  /** Samples closer than this may come back as one. */
  readonly resolutionMs: number;
  /** A second instance over the same data. */
  again(): Promise<FleetMetrics>;
  /** Removes the data; the adapters are closed already. */
  close(): Promise<void>;
}

export function fleetMetricsContract(name: string, open: () => Promise<FleetMetricsHarness>): void {
  describe(`fleet metrics contract: ${name}`, () => {
    let harness: FleetMetricsHarness;
    let opened: FleetMetrics[];

    beforeEach(async () => {
      harness = await open();
      opened = [harness.metrics];
    });
    afterEach(async () => {
      await Promise.all(opened.map((metrics) => metrics.close()));
      await harness.close();
    });

    const sample = (stepsAgo: number, queueDepth: number): FleetSample => ({
      at: harness.now() - stepsAgo * harness.resolutionMs,
      queueDepth,
      inFlight: queueDepth + 1,
      busyWorkers: queueDepth + 2,
      oldestTaskAgeSeconds: queueDepth + 0.5,
    });

    it('has nothing at first, which is not a zero', async () => {
      expect(await harness.metrics.read(0)).toEqual([]);
    });

    it('gives back what was put, zeros included', async () => {
      const empty = {
        at: harness.now() - harness.resolutionMs,
        queueDepth: 0,
        inFlight: 0,
        busyWorkers: 0,
        oldestTaskAgeSeconds: 0,
      };
      const full = sample(0, 7);
      await harness.metrics.put(empty);
      await harness.metrics.put(full);
      expect(await harness.metrics.read(empty.at)).toEqual([empty, full]);
    });

    it('keeps apart an age of zero and an age that is not known', async () => {
      const unknown = { ...sample(0, 3), oldestTaskAgeSeconds: null };
      await harness.metrics.put(unknown);
      expect(await harness.metrics.read(unknown.at)).toEqual([unknown]);
    });

    it('reads from a moment on, that moment included, oldest first, in whatever order they were put', async () => {
      const [old, middle, fresh] = [sample(3, 1), sample(2, 2), sample(1, 3)];
      await harness.metrics.put(fresh);
      await harness.metrics.put(old);
      await harness.metrics.put(middle);
      expect(await harness.metrics.read(middle.at)).toEqual([middle, fresh]);
      expect(await harness.metrics.read(old.at)).toEqual([old, middle, fresh]);
      expect(await harness.metrics.read(fresh.at + harness.resolutionMs)).toEqual([]);
    });

    it('shows a sample to another process', async () => {
      const other = await harness.again();
      opened.push(other);
      const put = sample(0, 4);
      await harness.metrics.put(put);
      expect(await other.read(put.at)).toEqual([put]);
    });

    it('answers the newest 1,000 of more', async () => {
      for (let steps = 1_004; steps >= 0; steps -= 1) await harness.metrics.put(sample(steps, steps));
      const read = await harness.metrics.read(sample(1_004, 0).at);
      expect(read).toHaveLength(1_000);
      expect([read[0]?.queueDepth, read.at(-1)?.queueDepth]).toEqual([999, 0]);
    });

    it('answers a ping', async () => {
      await expect(harness.metrics.ping()).resolves.toBeUndefined();
    });
  });
}
