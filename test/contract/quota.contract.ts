import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type QuotaUsage } from '../../src/domain/quota.js';
import { type Quota, type Reservation } from '../../src/ports/quota/quota.port.js';

/** The daily limit of every quota that a harness opens, in ticks. */
export const DAILY_LIMIT = 256;

/** What an adapter brings to the suite. */
export interface QuotaHarness {
  /** An empty ledger with a limit of {@link DAILY_LIMIT}. */
  readonly quota: Quota;
  /** Another instance over the same data: another process, as far as the adapter knows. */
  again(): Promise<Quota>;
  /** Epoch milliseconds, as the ledger sees it. */
  now(): number;
  /**
   * Passes time, days too. An engine that tells the time itself comes to the same by moving its ledger back: every
   * instant by `ms`, every day to the UTC day of its new instant.
   */
  elapse(ms: number): Promise<void>;
  /** Closes every instance and removes the data. */
  close(): Promise<void>;
}

const DAY_MS = 86_400_000;
const ALICE = '11111111-1111-4111-8111-111111111111';
const BOB = '22222222-2222-4222-8222-222222222222';

/** What every quota must do, whichever engine keeps its ledger. */
export function quotaContract(name: string, open: () => Promise<QuotaHarness>): void {
  describe(`quota on ${name}`, () => {
    let harness: QuotaHarness;
    let quota: Quota;
    beforeEach(async () => {
      harness = await open();
      quota = harness.quota;
    });
    afterEach(() => harness.close());

    const usageOf = (used: number): QuotaUsage => ({
      limit: DAILY_LIMIT,
      used,
      remaining: DAILY_LIMIT - used,
      resetsAt: (Math.floor(harness.now() / DAY_MS) + 1) * DAY_MS,
    });

    const reserved = (ticks: number, used: number): Reservation => ({
      kind: 'reserved',
      ticks,
      usage: usageOf(used),
    });

    describe('reserve', () => {
      it('counts for its owner and for nobody else', async () => {
        expect(await quota.usage(ALICE)).toEqual(usageOf(0));
        expect(await quota.reserve(ALICE, 'task-1', 50)).toEqual(reserved(50, 50));
        expect(await quota.reserve(ALICE, 'task-2', 6)).toEqual(reserved(6, 56));
        expect(await quota.usage(ALICE)).toEqual(usageOf(56));
        expect(await quota.usage(BOB)).toEqual(usageOf(0));
      });

      it('goes up to the limit exactly, and takes nothing when it refuses', async () => {
        expect((await quota.reserve(ALICE, 'task-1', 200)).kind).toBe('reserved');
        expect(await quota.reserve(ALICE, 'task-2', 57)).toEqual({ kind: 'exceeded', usage: usageOf(200) });
        expect(await quota.unsettled(0, 10)).toHaveLength(1);
        expect((await quota.reserve(ALICE, 'task-3', 56)).kind).toBe('reserved');
        expect(await quota.reserve(ALICE, 'task-4', 1)).toEqual({
          kind: 'exceeded',
          usage: usageOf(DAILY_LIMIT),
        });
        expect((await quota.reserve(BOB, 'task-5', DAILY_LIMIT)).kind).toBe('reserved');
      });

      it('charges a task once, however often it is asked', async () => {
        await quota.reserve(ALICE, 'task-1', 50);
        expect(await quota.reserve(ALICE, 'task-1', 50)).toEqual(reserved(50, 50));
        expect(await quota.reserve(ALICE, 'task-1', 250)).toEqual(reserved(50, 50));
        expect(await quota.reserve(ALICE, 'task-1', 7)).toEqual(reserved(50, 50));
        expect(await (await harness.again()).usage(ALICE)).toEqual(usageOf(50));
      });

      it('says reserved for a task that has its reservation, although nothing is left', async () => {
        await quota.reserve(ALICE, 'task-1', DAILY_LIMIT);
        expect((await quota.reserve(ALICE, 'task-1', DAILY_LIMIT)).kind).toBe('reserved');
      });

      it('reserves anew for a task that is settled', async () => {
        await quota.reserve(ALICE, 'task-1', 10);
        await quota.settle('task-1', 0);
        expect(await quota.reserve(ALICE, 'task-1', 10)).toEqual(reserved(10, 10));
        expect(await quota.unsettled(0, 10)).toEqual([{ correlationId: 'task-1', owner: ALICE, ticks: 10 }]);
        await quota.settle('task-1', 4);
        expect(await quota.usage(ALICE)).toEqual(usageOf(4));
      });

      it('counts a kept reservation as made anew, so that a late retry does not lose it as an orphan', async () => {
        await quota.reserve(ALICE, 'task-1', 10);
        await harness.elapse(300);
        expect(await quota.unsettled(200, 10)).toHaveLength(1);
        await quota.reserve(ALICE, 'task-1', 10);
        expect(await quota.unsettled(200, 10)).toEqual([]);
      });

      it('puts the new reservation of a settled task in place of its charge, if the limit covers it', async () => {
        await quota.reserve(ALICE, 'task-1', 200);
        await quota.settle('task-1', 100);
        await quota.reserve(ALICE, 'task-2', 56);
        expect(await quota.reserve(ALICE, 'task-1', 201)).toEqual({ kind: 'exceeded', usage: usageOf(156) });
        expect(await quota.usage(ALICE)).toEqual(usageOf(156));
        expect(await quota.reserve(ALICE, 'task-1', 200)).toEqual(reserved(200, DAILY_LIMIT));
      });

      it('grants five of 200 concurrent wishes of 50 ticks, over two instances', async () => {
        const other = await harness.again();
        const answers = await Promise.all(
          Array.from({ length: 200 }, (_, i) => (i % 2 ? quota : other).reserve(ALICE, `task-${i}`, 50)),
        );
        expect(answers.filter(({ kind }) => kind === 'reserved')).toHaveLength(5);
        expect(await other.usage(ALICE)).toEqual(usageOf(250));
      });

      it('makes one reservation of 50 concurrent wishes for one task, over two instances', async () => {
        const other = await harness.again();
        const answers = await Promise.all(
          Array.from({ length: 50 }, (_, i) => (i % 2 ? quota : other).reserve(ALICE, 'task-1', 50)),
        );
        expect(answers.every(({ kind }) => kind === 'reserved')).toBe(true);
        expect(await quota.usage(ALICE)).toEqual(usageOf(50));
      });
    });

    describe('settle', () => {
      it('gives back what was not used', async () => {
        await quota.reserve(ALICE, 'task-1', 200);
        await quota.settle('task-1', 12);
        expect(await quota.usage(ALICE)).toEqual(usageOf(12));
        expect((await quota.reserve(ALICE, 'task-2', DAILY_LIMIT - 12)).kind).toBe('reserved');
      });

      it('counts the first settlement only', async () => {
        await quota.reserve(ALICE, 'task-1', 50);
        await quota.settle('task-1', 10);
        await quota.settle('task-1', 40);
        await (await harness.again()).settle('task-1', 0);
        expect(await quota.usage(ALICE)).toEqual(usageOf(10));
      });

      it('charges no more than was reserved, and no less than nothing', async () => {
        await quota.reserve(ALICE, 'task-1', 50);
        await quota.settle('task-1', 51);
        expect(await quota.usage(ALICE)).toEqual(usageOf(50));
        await quota.reserve(ALICE, 'task-2', 50);
        await quota.settle('task-2', -5);
        expect(await quota.usage(ALICE)).toEqual(usageOf(50));
        await quota.reserve(ALICE, 'task-3', 50);
        await quota.settle('task-3', 0);
        expect(await quota.usage(ALICE)).toEqual(usageOf(50));
      });

      it('ignores a task that it does not know, which can be reserved afterwards', async () => {
        await quota.settle('task-1', 10);
        expect(await quota.usage(ALICE)).toEqual(usageOf(0));
        await quota.reserve(ALICE, 'task-1', 30);
        expect(await quota.usage(ALICE)).toEqual(usageOf(30));
      });

      it('loses none of many settlements at once, over two instances', async () => {
        const other = await harness.again();
        const ids = Array.from({ length: 50 }, (_, i) => `task-${i}`);
        await Promise.all(ids.map((id) => quota.reserve(ALICE, id, 5)));
        await Promise.all(ids.flatMap((id) => [quota.settle(id, 2), other.settle(id, 2)]));
        expect(await quota.usage(ALICE)).toEqual(usageOf(100));
        expect(await quota.unsettled(0, 100)).toEqual([]);
      });
    });

    describe('the day', () => {
      it('starts anew at midnight', async () => {
        await quota.reserve(ALICE, 'task-1', DAILY_LIMIT);
        await harness.elapse(DAY_MS);
        expect(await quota.usage(ALICE)).toEqual(usageOf(0));
        expect((await quota.reserve(ALICE, 'task-2', DAILY_LIMIT)).kind).toBe('reserved');
      });

      it('of a reservation is the day on which it was made', async () => {
        await quota.reserve(ALICE, 'task-1', 200);
        await harness.elapse(DAY_MS);
        await quota.reserve(ALICE, 'task-2', 100);
        await quota.settle('task-1', 150);
        expect(await quota.usage(ALICE)).toEqual(usageOf(100));
        expect(await quota.reserve(ALICE, 'task-1', 20)).toEqual(reserved(20, 120));
      });
    });

    describe('unsettled', () => {
      it('lists old reservations, oldest first, until they are settled', async () => {
        await quota.reserve(ALICE, 'task-1', 10);
        await harness.elapse(1_000);
        await quota.reserve(BOB, 'task-2', 20);
        await harness.elapse(1_000);
        await quota.reserve(ALICE, 'task-3', 30);
        const first = { correlationId: 'task-1', owner: ALICE, ticks: 10 };
        const second = { correlationId: 'task-2', owner: BOB, ticks: 20 };
        const third = { correlationId: 'task-3', owner: ALICE, ticks: 30 };
        expect(await quota.unsettled(0, 10)).toEqual([first, second, third]);
        expect(await quota.unsettled(0, 2)).toEqual([first, second]);
        expect(await quota.unsettled(900, 10)).toEqual([first, second]);
        expect(await quota.unsettled(1_900, 10)).toEqual([first]);
        expect(await quota.unsettled(DAY_MS, 10)).toEqual([]);
        await quota.settle('task-1', 0);
        expect(await (await harness.again()).unsettled(0, 10)).toEqual([second, third]);
      });

      it('still knows reservations of earlier days', async () => {
        await quota.reserve(ALICE, 'task-1', 10);
        await harness.elapse(3 * DAY_MS);
        expect(await quota.unsettled(DAY_MS, 10)).toEqual([
          { correlationId: 'task-1', owner: ALICE, ticks: 10 },
        ]);
      });
    });

    it('is known to every instance', async () => {
      await quota.reserve(ALICE, 'task-1', 50);
      await quota.reserve(ALICE, 'task-2', 50);
      await quota.settle('task-2', 5);
      expect(await (await harness.again()).usage(ALICE)).toEqual(usageOf(55));
    });

    it('answers a ping', () => expect(quota.ping()).resolves.toBeUndefined());
  });
}
