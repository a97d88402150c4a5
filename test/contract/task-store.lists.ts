import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { Tasks, type TaskStoreHarness } from './task-store.harness.js';

/** A user's own tasks, page by page. */
export function taskStoreLists(open: () => Promise<TaskStoreHarness>): void {
  let harness: TaskStoreHarness;
  let store: TaskStore;
  let tasks: Tasks;
  beforeEach(async () => {
    harness = await open();
    store = harness.store;
    tasks = new Tasks(harness);
  });
  afterEach(() => harness.close());
  const ids = (page: { tasks: readonly { correlationId: string }[] }) =>
    page.tasks.map(({ correlationId }) => correlationId);

  async function allPages(owner: string, limit: number): Promise<string[]> {
    const found: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await store.list(owner, { limit, cursor });
      expect(page.tasks.length).toBeLessThanOrEqual(limit);
      found.push(...ids(page));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    return found;
  }

  it("shows a user's own tasks only, newest first", async () => {
    for (const [id, owner] of [
      ['a-1', 'alice'],
      ['b-1', 'bob'],
      ['x-1', null],
      ['a-2', 'alice'],
      ['a-3', 'alice'],
    ] as const) {
      await tasks.submit(id, owner);
      await harness.elapse(5);
    }
    expect(ids(await store.list('alice', { limit: 10 }))).toEqual(['a-3', 'a-2', 'a-1']);
    expect(ids(await store.list('bob', { limit: 10 }))).toEqual(['b-1']);
    expect(ids(await store.list('', { limit: 10 }))).toEqual([]);
    expect(ids(await store.list('null', { limit: 10 }))).toEqual([]);
  });

  it('pages through tasks made at the same instant, each once', async () => {
    const at = tasks.now();
    for (const id of ['c', 'a', 'e', 'b', 'd']) {
      const creation = tasks.creation(id);
      await tasks.committed({ ...creation, record: { ...creation.record, createdAt: at } });
    }
    for (const limit of [1, 2, 4, 5, 6]) {
      const found = await allPages('alice', limit);
      expect(found).toHaveLength(5);
      expect([...found].sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
    }
    expect((await store.list('alice', { limit: 5 })).nextCursor).toBeNull();
  });

  it('keeps its place while newer tasks arrive', async () => {
    for (const id of ['t-1', 't-2', 't-3']) {
      await tasks.submit(id);
      await harness.elapse(5);
    }
    const first = await store.list('alice', { limit: 2 });
    await tasks.submit('t-4');
    const other = await harness.again();
    const second = await other.list('alice', { limit: 2, cursor: first.nextCursor ?? undefined });
    expect([ids(first), ids(second), second.nextCursor]).toEqual([['t-3', 't-2'], ['t-1'], null]);
  });

  it('filters by status, across pages too', async () => {
    for (const id of ['t-1', 't-2', 't-3', 't-4']) {
      await tasks.submit(id);
      await harness.elapse(5);
    }
    await tasks.step(await tasks.claim('t-2'), tasks.accepted());
    await tasks.finish('t-5');
    expect(ids(await store.list('alice', { limit: 9, statuses: ['accepted'] }))).toEqual(['t-2']);
    expect(ids(await store.list('alice', { limit: 9, statuses: ['accepted', 'completed'] }))).toEqual([
      't-5',
      't-2',
    ]);
    expect(ids(await store.list('alice', { limit: 9, statuses: [] }))).toEqual([]);
    const page = await store.list('alice', { limit: 2, statuses: ['pending'] });
    const rest = await store.list('alice', {
      limit: 2,
      statuses: ['pending'],
      cursor: page.nextCursor ?? undefined,
    });
    expect([ids(page), ids(rest), rest.nextCursor]).toEqual([['t-4', 't-3'], ['t-1'], null]);
  });

  it('reads an unreadable cursor like none', async () => {
    await tasks.submit('t-1');
    const encoded = ['null', '[]', '{}', '["x",1]', '[1e999,"a"]', '5', '[1', ''].map((text) =>
      Buffer.from(text).toString('base64url'),
    );
    for (const cursor of ['', '!!!', '\0', 'ü', 'AAAA', "' OR 1=1 --", ...encoded]) {
      expect(ids(await store.list('alice', { limit: 5, cursor }))).toEqual(['t-1']);
    }
  });

  it("shows nobody's task through another user's cursor", async () => {
    await tasks.submit('b-1', 'bob');
    await harness.elapse(5);
    await tasks.submit('a-1', 'alice');
    await tasks.submit('a-2', 'alice');
    const { nextCursor } = await store.list('alice', { limit: 1 });
    expect(ids(await store.list('carol', { limit: 5, cursor: nextCursor ?? undefined }))).toEqual([]);
    expect(ids(await store.list('bob', { limit: 5, cursor: nextCursor ?? undefined }))).toEqual(['b-1']);
  });
}
