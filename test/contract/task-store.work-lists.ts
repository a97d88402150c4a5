import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type TaskRecord } from '../../src/domain/task.js';
import { envelopeOf, type TaskChange } from '../../src/domain/task-change.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { Tasks, type TaskStoreHarness } from './task-store.harness.js';

/** Longer than any test takes. */
const HELD_MS = 60_000;
/** For tests that wait for its end. */
const SHORT_MS = 100;

/** What is left to be published and to be settled, told to one reconciler at a time. */
export function taskStoreWorkLists(open: () => Promise<TaskStoreHarness>): void {
  let harness: TaskStoreHarness;
  let store: TaskStore;
  let tasks: Tasks;
  beforeEach(async () => {
    harness = await open();
    store = harness.store;
    tasks = new Tasks(harness);
  });
  afterEach(() => harness.close());

  const take = (limit = 10, olderThanMs = 0, from = store, holdMs = HELD_MS) =>
    from.takeOutbox({ limit, olderThanMs, holdMs });
  const taken = async (...of: Parameters<typeof take>) =>
    (await take(...of)).map(({ envelope }) => envelope.correlationId);
  const settle = async (limit = 10, from = store, holdMs = HELD_MS) =>
    (await from.takeSettlements({ limit, holdMs })).map(({ settlement }) => settlement.correlationId);
  /** The entries that a task's first change made. */
  const first = (...ids: string[]) => ids.map((correlationId) => ({ correlationId, seq: 1 }));
  const submitQueued = async (...ids: string[]) => {
    for (const id of ids) {
      await tasks.submit(id, 'alice', true);
      await harness.elapse(5);
    }
  };

  /** Extends an ended task and works on it to its next end. */
  const endAgain = async (ended: TaskRecord) => {
    await tasks.committed(tasks.extension(ended));
    const work = await tasks.step(await tasks.claim(ended.correlationId), tasks.accepted(), tasks.tick());
    return tasks.committed(tasks.end(work));
  };

  it('hands out the envelope that was submitted', async () => {
    const record = await tasks.submit('t-1', 'alice', true);
    await tasks.submit('t-2', 'alice', false);
    expect(await take()).toEqual([{ seq: 1, envelope: envelopeOf(record) }]);
  });

  it('keeps the trace context of an envelope, and one without an owner', async () => {
    const creation = tasks.creation('t-1', null, true);
    const envelope = envelopeOf(creation.record, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
    await tasks.committed({ ...creation, outbox: envelope });
    expect(await take()).toEqual([{ seq: 1, envelope }]);
  });

  it('hands out the oldest first, at most so many, once they are old enough', async () => {
    await submitQueued('t-3', 't-1', 't-2');
    expect(await taken(10, 5_000)).toEqual([]);
    expect(await taken(2)).toEqual(['t-3', 't-1']);
    expect(await taken(2)).toEqual(['t-2']);
    await submitQueued('t-4');
    await harness.elapse(1_000);
    await submitQueued('t-5');
    expect(await taken(10, 900)).toEqual(['t-4']);
  });

  it('holds an entry for its taker, then hands it out again until it is cleared', async () => {
    const other = await harness.again();
    await submitQueued('t-1');
    expect(await taken(10, 0, store, SHORT_MS)).toEqual(['t-1']);
    await harness.elapse(SHORT_MS + 20);
    expect(await taken(10, 0, other)).toEqual(['t-1']);
    expect(await taken()).toEqual([]);
    await submitQueued('t-2');
    expect(await taken(10, 0, store, SHORT_MS)).toEqual(['t-2']);
    await store.clearOutbox(first('t-1', 't-2', 'nobody'));
    await harness.elapse(SHORT_MS + 20);
    expect(await taken()).toEqual([]);
    await store.clearOutbox([]);
  });

  it('gives each entry to one of two takers', async () => {
    const other = await harness.again();
    const ids = ['t-1', 't-2', 't-3', 't-4', 't-5', 't-6'];
    await submitQueued(...ids);
    const both = await Promise.all([taken(3), taken(3, 0, other), taken(3), taken(3, 0, other)]);
    expect(both.flat().sort()).toEqual(ids);
  });

  it('puts an extended task into the outbox anew', async () => {
    const finished = await tasks.finish('t-1');
    const extended = await tasks.committed(tasks.extension(finished));
    expect(await take()).toEqual([{ seq: extended.head.seq, envelope: envelopeOf(extended) }]);
  });

  it('asks for a settlement when a task ends, for its ticks', async () => {
    const { head } = await tasks.finish('t-1', 'alice');
    expect(await store.takeSettlements({ limit: 10, holdMs: HELD_MS })).toEqual([
      { seq: head.seq, settlement: { correlationId: 't-1', owner: 'alice', usedTicks: 1 } },
    ]);
  });

  it('holds and clears settlements like outbox entries', async () => {
    const other = await harness.again();
    let seq = 0;
    for (const id of ['t-2', 't-1', 't-3']) {
      seq = (await tasks.finish(id)).head.seq;
      await harness.elapse(5);
    }
    const ended = (...ids: string[]) => ids.map((correlationId) => ({ correlationId, seq }));
    const both = await Promise.all([settle(2, store, SHORT_MS), settle(2, other, SHORT_MS)]);
    expect(both.flat().sort()).toEqual(['t-1', 't-2', 't-3']);
    await store.clearSettlements(ended('t-1'));
    await harness.elapse(SHORT_MS + 20);
    expect(await settle(10, other)).toEqual(['t-2', 't-3']);
    expect(await settle()).toEqual([]);
    await store.clearSettlements(ended('t-2', 't-3', 'nobody'));
    await harness.elapse(SHORT_MS + 20);
    expect(await settle()).toEqual([]);
  });

  it('settles an extended task again at its next end', async () => {
    const ended = await tasks.finish('t-1');
    await settle();
    const { head, reservation } = await endAgain(ended);
    expect(await store.takeSettlements({ limit: 10, holdMs: HELD_MS })).toEqual([
      {
        seq: head.seq,
        settlement: { correlationId: 't-1', reservation, owner: 'alice', usedTicks: 1 },
      },
    ]);
  });

  it('keeps the newer entry of a task that was extended while its older one was published', async () => {
    await submitQueued('t-1');
    expect(await taken()).toEqual(['t-1']);
    const work = await tasks.step(await tasks.claim('t-1'), tasks.accepted(), tasks.tick());
    const extended = await tasks.committed(tasks.extension(await tasks.committed(tasks.end(work))));
    await store.clearOutbox(first('t-1'));
    expect(await take(10, 0, store, SHORT_MS)).toEqual([
      { seq: extended.head.seq, envelope: envelopeOf(extended) },
    ]);
    await store.clearOutbox([{ correlationId: 't-1', seq: extended.head.seq }]);
    await harness.elapse(SHORT_MS + 20);
    expect(await take()).toEqual([]);
  });

  it('keeps the newer settlement of a task that ended again while its older one was told', async () => {
    const ended = await tasks.finish('t-1');
    expect(await settle()).toEqual(['t-1']);
    const { head, reservation } = await endAgain(ended);
    await store.clearSettlements([{ correlationId: 't-1', seq: ended.head.seq }]);
    expect(await store.takeSettlements({ limit: 10, holdMs: SHORT_MS })).toEqual([
      {
        seq: head.seq,
        settlement: { correlationId: 't-1', reservation, owner: 'alice', usedTicks: 1 },
      },
    ]);
    await store.clearSettlements([{ correlationId: 't-1', seq: head.seq }]);
    await harness.elapse(SHORT_MS + 20);
    expect(await settle()).toEqual([]);
  });

  it('withdraws a task that nobody saw, without a trace', async () => {
    await submitQueued('t-1', 't-2');
    expect(await store.withdraw('t-1')).toBe(true);
    expect(await store.find('t-1')).toBeNull();
    expect(await store.journal('t-1', 0, 10)).toEqual([]);
    expect((await store.list('alice', { limit: 10 })).tasks).toHaveLength(1);
    expect(await taken()).toEqual(['t-2']);
    expect(await store.withdraw('t-1')).toBe(false);
    await tasks.submit('t-1', 'bob', true);
    expect((await store.find('t-1'))?.owner).toBe('bob');
  });

  it('withdraws no task whose message may be out', async () => {
    await submitQueued('taken', 'cleared', 'claimed', 'surrendered', 'accepted');
    expect(await taken(1, 0, store, SHORT_MS)).toEqual(['taken']);
    await store.clearOutbox(first('cleared'));
    await tasks.claim('claimed');
    await store.surrender((await tasks.claim('surrendered')).lease);
    await tasks.step(await tasks.claim('accepted'), tasks.accepted());
    const extension: TaskChange = tasks.extension(await tasks.finish('extended'));
    await tasks.committed(extension);
    await harness.elapse(SHORT_MS + 20);
    for (const id of ['taken', 'cleared', 'claimed', 'surrendered', 'accepted', 'extended']) {
      expect([id, await store.withdraw(id)]).toEqual([id, false]);
      expect(await store.find(id)).not.toBeNull();
      expect(await store.journal(id, 0, 10)).not.toEqual([]);
    }
  });

  it('lets either a taker or the withdrawal have a task', async () => {
    const other = await harness.again();
    for (const id of ['t-1', 't-2', 't-3', 't-4']) {
      await submitQueued(id);
      const [withdrawn, got] = await Promise.all([store.withdraw(id), taken(1, 0, other)]);
      expect(withdrawn).toBe(!got.includes(id));
      await store.clearOutbox(first(...got));
    }
  });
}
