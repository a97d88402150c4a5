import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Fleet, type FleetState } from '../../src/ports/fleet/fleet.port.js';
import { eventually } from '../support/eventually.js';

export interface FleetHarness {
  /** A fleet that wants no worker yet. */
  readonly fleet: Fleet;
  /** Names of the workers that run, in the engine's own words. */
  workers(): Promise<readonly string[]>;
  /** Ends a worker from outside, without a warning. */
  kill(worker: string): Promise<void>;
  /** Removes what is left; the fleet is closed already. */
  close(): Promise<void>;
}

export function fleetContract(name: string, open: () => Promise<FleetHarness>): void {
  describe(`fleet contract: ${name}`, () => {
    let harness: FleetHarness;

    beforeEach(async () => {
      harness = await open();
    });
    afterEach(async () => {
      await harness.fleet.close();
      await harness.close();
    });

    const reaches = (state: FleetState) =>
      eventually(`the fleet is ${JSON.stringify(state)}`, async () => {
        const now = await harness.fleet.state();
        const same =
          now.desired === state.desired && now.running === state.running && now.pending === state.pending;
        return same && (await harness.workers()).length === state.running;
      });

    it('has nobody at first', async () => {
      expect(await harness.fleet.state()).toEqual({ desired: 0, running: 0, pending: 0 });
    });

    it('starts as many as are wanted, and says at once how many those are', async () => {
      await harness.fleet.setDesired(2);
      expect((await harness.fleet.state()).desired).toBe(2);
      await reaches({ desired: 2, running: 2, pending: 0 });
    });

    it('sets a count and adds nothing', async () => {
      await Promise.all([harness.fleet.setDesired(2), harness.fleet.setDesired(2)]);
      await reaches({ desired: 2, running: 2, pending: 0 });
      const before = await harness.workers();
      await harness.fleet.setDesired(2);
      await reaches({ desired: 2, running: 2, pending: 0 });
      expect(await harness.workers()).toEqual(before);
    });

    it('ends those that are too many and leaves the others alone', async () => {
      await harness.fleet.setDesired(3);
      await reaches({ desired: 3, running: 3, pending: 0 });
      const before = await harness.workers();
      await harness.fleet.setDesired(1);
      await reaches({ desired: 1, running: 1, pending: 0 });
      expect(before).toEqual(expect.arrayContaining([...(await harness.workers())]));
      await harness.fleet.setDesired(0);
      await reaches({ desired: 0, running: 0, pending: 0 });
    });

    it('replaces a worker that died', async () => {
      await harness.fleet.setDesired(2);
      await reaches({ desired: 2, running: 2, pending: 0 });
      const [victim = '', survivor] = await harness.workers();
      await harness.kill(victim);
      const after = await eventually('another worker in its place', async () => {
        const workers = await harness.workers();
        return workers.length === 2 && !workers.includes(victim) ? workers : null;
      });
      expect(after).toContain(survivor);
      await reaches({ desired: 2, running: 2, pending: 0 });
    });

    it.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses a count of %d', async (count) => {
      await expect(harness.fleet.setDesired(count)).rejects.toThrow(RangeError);
      expect((await harness.fleet.state()).desired).toBe(0);
    });

    it('answers a ping', async () => {
      await expect(harness.fleet.ping()).resolves.toBeUndefined();
    });
  });
}
