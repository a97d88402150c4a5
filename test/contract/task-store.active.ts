import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { cancellation } from '../../src/domain/task-change.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { Tasks, type TaskStoreHarness } from './task-store.harness.js';

/** How many unfinished tasks a user has, and the limit of them. */
export function taskStoreActive(open: () => Promise<TaskStoreHarness>): void {
  let harness: TaskStoreHarness;
  let store: TaskStore;
  let tasks: Tasks;
  beforeEach(async () => {
    harness = await open();
    store = harness.store;
    tasks = new Tasks(harness);
  });
  afterEach(() => harness.close());

  const limited = (id: string, activeLimit: number, owner = 'alice') => ({
    ...tasks.creation(id, owner, true),
    activeLimit,
  });

  it('finds unfinished tasks that nobody works on, once they are old enough', async () => {
    const idsOf = async (olderThanMs: number, limit = 10) =>
      (await store.stalled(olderThanMs, limit)).map(({ correlationId }) => correlationId);
    await tasks.submit('waiting');
    await harness.elapse(5);
    await tasks.submit('foreign', null);
    await tasks.claim('running', 'agent-1', 60_000);
    await store.surrender((await tasks.claim('surrendered', 'agent-1', 60_000)).lease);
    await tasks.committed(cancellation(await tasks.submit('cancelled'), tasks.now()));
    await harness.elapse(5);
    expect(await idsOf(60_000)).toEqual([]);
    expect((await idsOf(0)).sort()).toEqual(['foreign', 'surrendered', 'waiting']);
    expect(await idsOf(0, 1)).toEqual(['waiting']);
    const ended = await tasks.finish('extended');
    await tasks.committed(tasks.extension(ended));
    await harness.elapse(5);
    expect(await idsOf(0)).toContain('extended');
  });

  it("counts a user's unfinished tasks, whatever becomes of them", async () => {
    expect(await store.active('alice')).toBe(0);
    const cancelled = await tasks.submit('cancelled');
    await tasks.submit('withdrawn', 'alice', true);
    await tasks.submit('waiting');
    await tasks.submit('another', 'bob');
    await tasks.submit('foreign', null);
    await tasks.step(await tasks.claim('claimed-first'), tasks.accepted(), tasks.tick());
    expect(await store.active('alice')).toBe(4);
    await tasks.committed(cancellation(cancelled, tasks.now()));
    await store.withdraw('withdrawn');
    const ended = await tasks.finish('ended');
    expect(await store.active('alice')).toBe(2);
    await tasks.committed(tasks.extension(ended));
    expect(await store.active('alice')).toBe(3);
    expect([await store.active('bob'), await store.active(''), await store.active('null')]).toEqual([
      1, 0, 0,
    ]);
  });

  it('counts the same after old tasks are removed', async () => {
    await tasks.finish('ended');
    await tasks.submit('waiting');
    await harness.elapse(20);
    await store.purge(tasks.now(), 10);
    expect(await store.active('alice')).toBe(1);
  });

  it('refuses a task beyond the limit, and writes nothing of it', async () => {
    await tasks.committed(limited('t-1', 2));
    await tasks.committed(limited('t-2', 2));
    expect(await store.commit(limited('t-3', 2))).toEqual({ kind: 'too_many_active' });
    expect(await store.find('t-3')).toBeNull();
    expect(await store.journal('t-3', 0, 10)).toEqual([]);
    expect(await store.takeOutbox({ limit: 9, olderThanMs: 0, holdMs: 100 })).toHaveLength(2);
    await tasks.committed(limited('b-1', 2, 'bob'));
    const second = await store.find('t-2');
    if (second) await tasks.committed(cancellation(second, tasks.now()));
    await tasks.committed(limited('t-3', 2));
  });

  it('says of a task that is there that it is there, whatever the limit', async () => {
    await tasks.committed(limited('t-1', 1));
    expect(await store.commit(limited('t-1', 1))).toEqual({ kind: 'conflict' });
  });

  it('refuses an extension beyond the limit, and leaves the task ended', async () => {
    const ended = await tasks.finish('t-1');
    await tasks.submit('t-2');
    const change = { ...tasks.extension(ended), activeLimit: 1 };
    expect(await store.commit(change)).toEqual({ kind: 'too_many_active' });
    expect(await store.find('t-1')).toEqual(ended);
    expect(await store.commit({ ...change, activeLimit: 2 })).toEqual({ kind: 'committed' });
  });

  it('lets exactly as many in as the limit allows when many come at once', async () => {
    const other = await harness.again();
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? store : other).commit(limited(`t-${n}`, 7))),
    );
    const kinds = outcomes.map(({ kind }) => kind).sort();
    expect(kinds).toEqual([...Array(7).fill('committed'), ...Array(13).fill('too_many_active')]);
    expect(await store.active('alice')).toBe(7);
  });
}
