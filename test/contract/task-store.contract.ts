import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { findBreak } from '../../src/domain/journal.js';
import { cancellation, completion, submission, workerChange } from '../../src/domain/task-change.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { tickStep } from '../support/scripted-agent.js';
import { taskStoreActive } from './task-store.active.js';
import { taskStoreCallbacks } from './task-store.callbacks.js';
import { Tasks, type TaskStoreHarness } from './task-store.harness.js';
import { taskStoreLeases } from './task-store.leases.js';
import { taskStoreLists } from './task-store.lists.js';
import { taskStorePurge } from './task-store.purge.js';
import { taskStoreWatching } from './task-store.watching.js';
import { taskStoreWorkLists } from './task-store.work-lists.js';

/** What every task store must do, whichever engine keeps it. */
export function taskStoreContract(name: string, open: () => Promise<TaskStoreHarness>): void {
  describe(`task store on ${name}`, () => {
    describe('records and journals', () => recordsAndJournals(open));
    describe('leases', () => taskStoreLeases(open));
    describe('outbox and settlements', () => taskStoreWorkLists(open));
    describe('callbacks', () => taskStoreCallbacks(open));
    describe('active tasks', () => taskStoreActive(open));
    describe('lists', () => taskStoreLists(open));
    describe('watching', () => taskStoreWatching(open));
    describe('purge', () => taskStorePurge(open));
  });
}

function recordsAndJournals(open: () => Promise<TaskStoreHarness>): void {
  let harness: TaskStoreHarness;
  let store: TaskStore;
  let tasks: Tasks;
  beforeEach(async () => {
    harness = await open();
    store = harness.store;
    tasks = new Tasks(harness);
  });
  afterEach(() => harness.close());

  it('keeps a schema and the data that follows it as they are', async () => {
    const outputSchema = {
      type: 'object',
      required: [],
      properties: { '': {}, é: { enum: [1.5, null, '\u0000'] } },
    };
    const data = { list: [], none: null, nested: [{ a: 1e21 }], text: '\ud83e\udda0' };
    const input = { correlationId: 'with-schema', owner: 'owner', mandate: 'm', maxTicks: 2, outputSchema };
    const created = submission(input, tasks.now(), true);
    await store.commit(created);
    expect((await store.find('with-schema'))?.outputSchema).toEqual(outputSchema);
    expect((await store.journal('with-schema', 0, 1))[0]?.data.output_schema).toEqual(outputSchema);
    const claim = await store.claim(created, 'w', 30_000);
    if (claim.kind !== 'claimed') throw new Error(claim.kind);
    const step = { kind: 'accepted', at: tasks.now() } as const;
    const result = {
      answer: 'a',
      exitReason: 'answered',
      sources: [],
      unsupported: ['a'],
      model: 'm',
    } as const;
    const whole = { ...result, data, dataError: null };
    await store.commit(completion(claim.record, claim.lease, [step, tickStep()], whole, tasks.now()));
    expect((await store.find('with-schema'))?.result).toMatchObject({
      data,
      dataError: null,
      unsupported: ['a'],
    });
    expect(findBreak(await store.journal('with-schema', 0, 100))).toBeNull();
  });

  it('serves', async () => {
    await expect(store.ping()).resolves.toBeUndefined();
  });

  it('knows nothing of an unknown task', async () => {
    expect(await store.find('nobody')).toBeNull();
    expect(await store.journal('nobody', 0, 10)).toEqual([]);
  });

  it('gives back a task as it was submitted, in every process', async () => {
    const submitted = await tasks.submit('t-1');
    expect(await store.find('t-1')).toEqual(submitted);
    const other = await harness.again();
    expect(await other.find('t-1')).toEqual(submitted);
    expect(await other.journal('t-1', 0, 10)).toEqual(await store.journal('t-1', 0, 10));
  });

  it('keeps any text as it is', async () => {
    const creation = tasks.creation('t-1', 'Zoë "\' \\ ;\nDROP TABLE tasks');
    const mandate = 'zero \0, half a pair \ud83d, a whole one 🦠, \u2028, line\r\nend';
    const change = { ...creation, record: { ...creation.record, mandate } };
    await tasks.committed(change);
    expect(await store.find('t-1')).toEqual(change.record);
    expect((await store.list(change.record.owner ?? '', { limit: 5 })).tasks).toEqual([change.record]);
  });

  it('creates a task once', async () => {
    const first = await tasks.submit('t-1', 'alice');
    expect(await store.commit(tasks.creation('t-1', 'bob', true))).toEqual({ kind: 'conflict' });
    expect(await store.find('t-1')).toEqual(first);
    expect(await store.takeOutbox({ limit: 9, olderThanMs: 0, holdMs: 100 })).toEqual([]);
  });

  it('creates a task once when two processes try together', async () => {
    const other = await harness.again();
    const outcomes = await Promise.all([
      store.commit(tasks.creation('t-1', 'alice')),
      other.commit(tasks.creation('t-1', 'bob')),
    ]);
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['committed', 'conflict']);
    const winner = outcomes[0].kind === 'committed' ? 'alice' : 'bob';
    expect((await store.find('t-1'))?.owner).toBe(winner);
    expect(await store.journal('t-1', 0, 10)).toHaveLength(1);
  });

  it('refuses a change to a task that is not there', async () => {
    const { record } = tasks.creation('t-1');
    expect(await store.commit(cancellation(record, tasks.now()))).toEqual({ kind: 'conflict' });
    expect(await store.find('t-1')).toBeNull();
    expect(await store.journal('t-1', 0, 10)).toEqual([]);
  });

  it('refuses a change computed from an older journal, and writes nothing of it', async () => {
    const submitted = await tasks.submit('t-1');
    const work = await tasks.step(await tasks.claim('t-1'), tasks.accepted());
    const late = cancellation(submitted, tasks.now());
    expect(await store.commit(late)).toEqual({ kind: 'conflict' });
    const again = workerChange(submitted, work.lease, [tasks.accepted(), tasks.tick()]);
    expect(await store.commit(again)).toEqual({ kind: 'conflict' });
    expect(await store.find('t-1')).toEqual(work.record);
    expect(await store.journal('t-1', 0, 10)).toHaveLength(2);
    expect(await store.takeSettlements({ limit: 9, holdMs: 100 })).toEqual([]);
    // The conflicts did not end the lease.
    await tasks.step(work, tasks.tick());
  });

  it('lets one of many writers add each entry', async () => {
    const other = await harness.again();
    const submitted = await tasks.submit('t-1');
    const cancelled = [1, 2, 3, 4].map((after) => cancellation(submitted, tasks.now() + after));
    const outcomes = await Promise.all(
      cancelled.map((change, index) => (index % 2 === 0 ? store : other).commit(change)),
    );
    expect(outcomes.filter(({ kind }) => kind === 'committed')).toHaveLength(1);
    const winner = cancelled[outcomes.findIndex(({ kind }) => kind === 'committed')];
    expect(await other.find('t-1')).toEqual(winner?.record);
    expect((await store.journal('t-1', 1, 10)).map(({ hash }) => hash)).toEqual([winner?.record.head.hash]);
  });

  it('keeps a journal whose chain holds, in pages', async () => {
    await tasks.submit('t-1');
    let work = await tasks.step(await tasks.claim('t-1'), tasks.accepted());
    for (let tick = 1; tick <= 5; tick += 1) {
      work = await tasks.step(work, tasks.tick(`query ${tick}`), tasks.observation(`🦠 ${tick}`));
    }
    const ended = await tasks.committed(tasks.end(work));
    const whole = await store.journal('t-1', 0, 100);
    expect(whole.map(({ seq }) => seq)).toEqual(Array.from({ length: 13 }, (_, index) => index + 1));
    expect(findBreak(whole)).toBeNull();
    expect(whole.at(-1)).toMatchObject({ type: 'finished', hash: ended.head.hash });
    expect(ended.result?.receipt).toBe(ended.head.hash);
    expect(await store.journal('t-1', 0, 4)).toEqual(whole.slice(0, 4));
    expect(await store.journal('t-1', 4, 4)).toEqual(whole.slice(4, 8));
    expect(await store.journal('t-1', 10, 100)).toEqual(whole.slice(10));
    expect(await store.journal('t-1', 13, 100)).toEqual([]);
  });

  it('gives back the whole record of a finished task', async () => {
    const finished = await tasks.finish('t-1');
    expect(await store.find('t-1')).toEqual(finished);
    expect(finished).toMatchObject({ status: 'completed', tick: 1, result: { answer: '42' } });
  });
}
