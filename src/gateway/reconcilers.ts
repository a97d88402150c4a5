import { type Clock } from '../domain/clock.js';
import { encodeEnvelope } from '../domain/envelope.js';
import { taskOfReservation, ticksToCharge } from '../domain/reservation.js';
import { type Quota } from '../ports/quota/quota.port.js';
import { type EntryVersion, type OutboxItem, type TaskStore } from '../ports/task-store/task-store.port.js';
import { type WorkQueue } from '../ports/work-queue/work-queue.port.js';

/**
 * Finishes what a crash or a failing engine left half done. Any number of processes may do so at once: the store holds
 * what it hands out for one of them, and every step may be done twice.
 */
export interface Reconciler {
  readonly name: string;
  /** How often to look, in ms. */
  readonly everyMs: number;
  /** Does what there is to do; answers how much that was. Rejects when some of it has to be tried again. */
  tick(): Promise<number>;
}

const BATCH = 100;
const HOLD_MS = 30_000;
/** A submission that has not stored its task after this long never will, in ms. */
const ORPHANED_MS = 45_000;
const DAY_MS = 86_400_000;

/** Publishes tasks that were stored but never got to the queue. */
export class OutboxReconciler implements Reconciler {
  readonly name = 'outbox';
  readonly everyMs = 5_000;
  private storeWasAway = false;

  constructor(
    private readonly store: TaskStore,
    private readonly queue: WorkQueue,
  ) {}

  async tick(): Promise<number> {
    if (this.storeWasAway) {
      await this.store.ping();
      // Submissions that were refused during the outage are withdrawn first.
      this.storeWasAway = false;
      return 0;
    }
    return drain(async () => {
      const items = await this.take();
      const sent = items.map(({ envelope }) => this.queue.publish(encodeEnvelope(envelope)));
      const entries = items.map(({ seq, envelope }) => ({ correlationId: envelope.correlationId, seq }));
      await clearDone(sent, entries, (done) => this.store.clearOutbox(done));
      return items.length;
    });
  }

  private async take(): Promise<readonly OutboxItem[]> {
    try {
      return await this.store.takeOutbox({ limit: BATCH, olderThanMs: 5_000, holdMs: HOLD_MS });
    } catch (error) {
      this.storeWasAway = true;
      throw error;
    }
  }
}

/** Tells the quota what finished tasks have used. */
export class SettlementReconciler implements Reconciler {
  readonly name = 'settlements';
  readonly everyMs = 1_000;

  constructor(
    private readonly store: TaskStore,
    private readonly quota: Quota,
  ) {}

  async tick(): Promise<number> {
    return drain(async () => {
      const items = await this.store.takeSettlements({ limit: BATCH, holdMs: HOLD_MS });
      const told = items.map(({ settlement }) =>
        this.quota.settle(settlement.reservation ?? settlement.correlationId, settlement.usedTicks),
      );
      const entries = items.map(({ seq, settlement }) => ({ correlationId: settlement.correlationId, seq }));
      await clearDone(told, entries, (done) => this.store.clearSettlements(done));
      return items.length;
    });
  }
}

/**
 * Gives back ticks that were reserved for a task that was then not stored, and charges ended tasks whose settlement was
 * lost. Reservations of tasks that still run stay; it looks at the oldest 1,000 and so gets to the others as those end.
 */
export class ReservationReconciler implements Reconciler {
  readonly name = 'reservations';
  readonly everyMs = 15_000;

  constructor(
    private readonly store: TaskStore,
    private readonly quota: Quota,
  ) {}

  async tick(): Promise<number> {
    let settled = 0;
    for (const { correlationId: reservation } of await this.quota.unsettled(ORPHANED_MS, 1_000)) {
      const record = await this.store.find(taskOfReservation(reservation));
      const ticks = ticksToCharge(record, reservation);
      if (ticks === null) continue;
      await this.quota.settle(reservation, ticks);
      settled += 1;
    }
    return settled;
  }
}

/** Removes tasks that ended longer ago than tasks are kept. */
export class RetentionReconciler implements Reconciler {
  readonly name = 'retention';
  readonly everyMs = 3_600_000;

  constructor(
    private readonly store: TaskStore,
    private readonly clock: Clock,
    private readonly retentionDays: number,
  ) {}

  async tick(): Promise<number> {
    const before = this.clock.now() - this.retentionDays * DAY_MS;
    return drain(async () => (await this.store.purge(before, BATCH)).length);
  }
}

/** Goes on while batches are full. */
async function drain(batch: () => Promise<number>): Promise<number> {
  let total = 0;
  for (;;) {
    const count = await batch();
    total += count;
    if (count < BATCH) return total;
  }
}

/** Clears the entries whose step worked; rejects with the reason of the first that did not. */
async function clearDone(
  steps: readonly Promise<void>[],
  entries: readonly EntryVersion[],
  clear: (done: readonly EntryVersion[]) => Promise<void>,
): Promise<void> {
  const outcomes = await Promise.allSettled(steps);
  const done = entries.filter((_, index) => outcomes[index]?.status === 'fulfilled');
  if (done.length > 0) await clear(done);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
