import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type WorkerPresence } from '../../src/domain/presence.js';
import { type Presence } from '../../src/ports/presence/presence.port.js';

/** What an adapter brings to the suite. */
export interface PresenceHarness {
  /** A presence that knows no worker. */
  readonly presence: Presence;
  /** Another instance over the same data: another process, as far as the adapter knows. */
  again(): Promise<Presence>;
  elapse(ms: number): Promise<void>;
  /** How many workers the engine still stores something about, dead ones included. */
  stored(): Promise<number>;
  /** Closes every instance and removes the data. */
  close(): Promise<void>;
}

const TTL_MS = 300;
/** Longer than any test takes. */
const LONG_MS = 60_000;

function worker(workerId: string, fields: Partial<WorkerPresence> = {}): WorkerPresence {
  return {
    workerId,
    state: 'free',
    running: 0,
    capacity: 8,
    pid: 4242,
    startedAt: 1_768_478_400_000,
    ...fields,
  };
}

/** What every presence must do, whichever engine keeps it. */
export function presenceContract(name: string, open: () => Promise<PresenceHarness>): void {
  describe(`presence on ${name}`, () => {
    let harness: PresenceHarness;
    let presence: Presence;
    beforeEach(async () => {
      harness = await open();
      presence = harness.presence;
    });
    afterEach(() => harness.close());

    const idsOf = async (from = presence) => (await from.list()).map(({ workerId }) => workerId).sort();

    it('knows nobody at first', async () => {
      expect(await presence.list()).toEqual([]);
    });

    it('lists a worker with all that it said', async () => {
      const said = worker('agent-1', { state: 'working', running: 3, capacity: 5, pid: 77 });
      await presence.beat(said, LONG_MS);
      expect(await presence.list()).toEqual([said]);
    });

    it('keeps what the last beat said', async () => {
      await presence.beat(worker('agent-1'), LONG_MS);
      await presence.beat(worker('agent-1', { state: 'working', running: 1 }), LONG_MS);
      await presence.beat(worker('agent-1', { state: 'draining', running: 1 }), LONG_MS);
      expect(await presence.list()).toEqual([worker('agent-1', { state: 'draining', running: 1 })]);
    });

    it('lists a worker until its time is over, and no longer', async () => {
      await presence.beat(worker('lives'), LONG_MS);
      await presence.beat(worker('dies'), TTL_MS);
      expect(await idsOf()).toEqual(['dies', 'lives']);
      await harness.elapse(TTL_MS);
      expect(await idsOf()).toEqual(['lives']);
    });

    it('gives a worker a whole new term with each beat', async () => {
      await presence.beat(worker('agent-1'), TTL_MS);
      await presence.beat(worker('agent-1'), LONG_MS);
      await harness.elapse(TTL_MS);
      expect(await idsOf()).toEqual(['agent-1']);
      await presence.beat(worker('agent-1'), TTL_MS);
      await harness.elapse(TTL_MS);
      expect(await idsOf()).toEqual([]);
    });

    it('cleans up what dead workers left behind', async () => {
      await presence.beat(worker('lives'), LONG_MS);
      for (const id of ['dead-1', 'dead-2', 'dead-3']) await presence.beat(worker(id), TTL_MS);
      await harness.elapse(TTL_MS);
      await presence.list();
      expect(await harness.stored()).toBe(1);
    });

    it('takes a worker back that was thought dead', async () => {
      await presence.beat(worker('agent-1'), TTL_MS);
      await harness.elapse(TTL_MS);
      expect(await idsOf()).toEqual([]);
      await presence.beat(worker('agent-1', { state: 'working' }), LONG_MS);
      expect(await presence.list()).toEqual([worker('agent-1', { state: 'working' })]);
    });

    it('forgets a worker that leaves, at once and wholly', async () => {
      await presence.beat(worker('stays'), LONG_MS);
      await presence.beat(worker('goes'), LONG_MS);
      await presence.leave('goes');
      await presence.leave('goes');
      await presence.leave('never came');
      expect(await idsOf()).toEqual(['stays']);
      expect(await harness.stored()).toBe(1);
    });

    it('is the same for every instance', async () => {
      const other = await harness.again();
      await presence.beat(worker('agent-1'), LONG_MS);
      await other.beat(worker('agent-2'), LONG_MS);
      expect(await idsOf()).toEqual(['agent-1', 'agent-2']);
      expect(await idsOf(other)).toEqual(['agent-1', 'agent-2']);
      await other.leave('agent-1');
      expect(await idsOf()).toEqual(['agent-2']);
    });

    it('keeps its workers when an instance closes', async () => {
      await presence.beat(worker('agent-1'), LONG_MS);
      await presence.close();
      expect(await idsOf(await harness.again())).toEqual(['agent-1']);
    });

    it('answers a ping', async () => {
      await expect(presence.ping()).resolves.toBeUndefined();
    });
  });
}
