import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { cancellation } from '../../src/domain/task-change.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { eventually } from '../support/eventually.js';
import { Tasks, type TaskStoreHarness } from './task-store.harness.js';

/** Hints that a task changed: none missed, none for other tasks. */
export function taskStoreWatching(open: () => Promise<TaskStoreHarness>): void {
  let harness: TaskStoreHarness;
  let store: TaskStore;
  let tasks: Tasks;
  let calls: string[];
  const called = (id: string) => eventually(`a call for ${id}`, () => calls.includes(id));
  beforeEach(async () => {
    harness = await open();
    store = harness.store;
    tasks = new Tasks(harness);
    calls = [];
  });
  afterEach(() => harness.close());
  const watch = (id: string, from = store) => from.watch(id, () => calls.push(id));

  it('tells of a change made here', async () => {
    const submitted = await tasks.submit('t-1');
    watch('t-1');
    await tasks.committed(cancellation(submitted, tasks.now()));
    await called('t-1');
  });

  it('tells of a change made elsewhere', async () => {
    const submitted = await tasks.submit('t-1');
    const other = await harness.again();
    watch('t-1', other);
    await tasks.committed(cancellation(submitted, tasks.now()));
    await called('t-1');
  });

  it('tells of a task that appears, by submission or by a claim', async () => {
    const other = await harness.again();
    for (const id of ['t-1', 't-2']) watch(id, other);
    await tasks.submit('t-1');
    await tasks.claim('t-2');
    await called('t-1');
    await called('t-2');
  });

  it("is silent about other tasks' changes, wherever they are made", async () => {
    const [one, two, three] = [
      await tasks.submit('t-1'),
      await tasks.submit('t-2'),
      await tasks.submit('t-3'),
    ];
    const other = await harness.again();
    for (const id of ['t-1', 't-2', 't-3']) watch(id);
    await tasks.committed(cancellation(two, tasks.now()));
    await called('t-2');
    await new Tasks(harness, other).committed(cancellation(three, tasks.now()));
    await called('t-3');
    expect(calls).not.toContain(one.correlationId);
  });

  it('tells every listener, and none that stopped', async () => {
    const submitted = await tasks.submit('t-1');
    const listener = () => calls.push('same');
    const stopFirst = store.watch('t-1', listener);
    store.watch('t-1', listener);
    const stopOther = store.watch('t-1', () => calls.push('other'));
    stopFirst();
    stopOther();
    stopOther();
    watch('t-1');
    await tasks.committed(cancellation(submitted, tasks.now()));
    await called('t-1');
    await called('same');
    expect(calls).toHaveLength(2);
  });

  it('watches again after the last listener stopped', async () => {
    const submitted = await tasks.submit('t-1');
    watch('t-1')();
    const work = await tasks.step(await tasks.claim('t-1'), tasks.accepted());
    expect(calls).toEqual([]);
    const other = await harness.again();
    watch('t-1');
    await new Tasks(harness, other).step(work, tasks.tick());
    await called('t-1');
    expect(submitted.status).toBe('pending');
  });

  it('commits even if a listener throws, and tells the others', async () => {
    const submitted = await tasks.submit('t-1');
    store.watch('t-1', () => {
      throw new Error('a broken listener');
    });
    watch('t-1');
    await tasks.committed(cancellation(submitted, tasks.now()));
    await called('t-1');
  });
}
