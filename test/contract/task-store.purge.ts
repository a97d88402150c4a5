import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { cancellation } from '../../src/domain/task-change.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { Tasks, type TaskStoreHarness } from './task-store.harness.js';

/** What is kept no longer. */
export function taskStorePurge(open: () => Promise<TaskStoreHarness>): void {
  let harness: TaskStoreHarness;
  let store: TaskStore;
  let tasks: Tasks;
  beforeEach(async () => {
    harness = await open();
    store = harness.store;
    tasks = new Tasks(harness);
  });
  afterEach(() => harness.close());

  it('removes all of the tasks that ended before, and no other', async () => {
    await tasks.finish('old');
    await tasks.submit('waiting');
    await tasks.step(await tasks.claim('working'), tasks.accepted(), tasks.tick());
    await harness.elapse(20);
    const limit = tasks.now();
    await tasks.finish('new');
    expect(await store.purge(limit, 10)).toEqual(['old']);
    expect(await store.purge(limit, 10)).toEqual([]);
    expect(await store.find('old')).toBeNull();
    expect(await store.journal('old', 0, 10)).toEqual([]);
    expect(
      (await store.takeSettlements({ limit: 9, holdMs: 50 })).map((it) => it.settlement.correlationId),
    ).toEqual(['new']);
    const { tasks: left } = await store.list('alice', { limit: 9 });
    expect(left.map(({ correlationId }) => correlationId).sort()).toEqual(['new', 'waiting', 'working']);
  });

  it('removes the outbox entry of a task that was cancelled before it was published', async () => {
    const submitted = await tasks.submit('t-1', 'alice', true);
    await tasks.committed(cancellation(submitted, tasks.now()));
    await harness.elapse(20);
    expect(await store.purge(tasks.now(), 10)).toEqual(['t-1']);
    expect(await store.takeOutbox({ limit: 9, olderThanMs: 0, holdMs: 50 })).toEqual([]);
  });

  it('removes the oldest first, at most so many', async () => {
    for (const id of ['t-1', 't-2', 't-3']) {
      await tasks.finish(id);
      await harness.elapse(5);
    }
    expect(await store.purge(tasks.now(), 2)).toEqual(['t-1', 't-2']);
    expect(await store.purge(tasks.now(), 2)).toEqual(['t-3']);
  });

  it('spares a task that was extended', async () => {
    await tasks.committed(tasks.extension(await tasks.finish('t-1')));
    await harness.elapse(20);
    expect(await store.purge(tasks.now(), 10)).toEqual([]);
    expect((await store.find('t-1'))?.status).toBe('pending');
  });

  it('leaves an entry for what is kept elsewhere, held for one taker until it is cleared', async () => {
    const ended = await tasks.finish('t-1');
    await tasks.finish('t-2');
    await harness.elapse(20);
    expect(await store.takePurged({ limit: 9, holdMs: 50 })).toEqual([]);
    await store.purge(tasks.now(), 10);
    const entries = await store.takePurged({ limit: 1, holdMs: 50 });
    expect(entries).toEqual([{ correlationId: 't-1', seq: ended.head.seq }]);
    const other = await harness.again();
    expect((await other.takePurged({ limit: 9, holdMs: 50 })).map((it) => it.correlationId)).toEqual(['t-2']);
    await store.clearPurged(entries);
    await harness.elapse(70);
    expect((await store.takePurged({ limit: 9, holdMs: 50 })).map((it) => it.correlationId)).toEqual(['t-2']);
  });

  it('leaves the id to a new task', async () => {
    await tasks.finish('t-1');
    await harness.elapse(20);
    await store.purge(tasks.now(), 10);
    const { attempt, journal } = await tasks.claim('t-1', 'agent-2');
    expect([attempt, journal.map(({ type }) => type)]).toEqual([1, ['submitted']]);
  });
}
