import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { afterAttempt, callbackTo } from '../../src/domain/callback.js';
import { type TaskRecord } from '../../src/domain/task.js';
import { callbackReport, cancellation, failure, submission } from '../../src/domain/task-change.js';
import { type EntryVersion, type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { Tasks, type TaskStoreHarness } from './task-store.harness.js';

/** Longer than any test takes. */
const HELD_MS = 60_000;
/** For tests that wait for its end. */
const SHORT_MS = 100;
const callbackUrl = 'https://client.example.com/euglena';

/** Ends that are to be told: one entry for each end of a task that names an address. */
export function taskStoreCallbacks(open: () => Promise<TaskStoreHarness>): void {
  let harness: TaskStoreHarness;
  let store: TaskStore;
  let tasks: Tasks;
  beforeEach(async () => {
    harness = await open();
    store = harness.store;
    tasks = new Tasks(harness);
  });
  afterEach(() => harness.close());

  const submit = (correlationId: string, owner: string | null = 'alice') =>
    tasks.committed(
      submission({ correlationId, owner, mandate: 'Find X', maxTicks: 10, callbackUrl }, tasks.now(), false),
    );
  const versionOf = ({ correlationId, head }: TaskRecord): EntryVersion => ({ correlationId, seq: head.seq });
  const take = (holdMs = HELD_MS, from = store) => from.takeCallbacks({ limit: 10, holdMs });

  it('has an entry for each way in which such a task ends', async () => {
    await submit('completed');
    const work = await tasks.step(await tasks.claim('completed'), tasks.accepted(), tasks.tick());
    const ended = [
      await tasks.committed(tasks.end(work)),
      await tasks.committed(cancellation(await submit('cancelled'), tasks.now())),
      await tasks.committed(
        failure(await submit('failed'), { code: 'bad_envelope', message: 'unreadable' }, tasks.now()),
      ),
    ];
    const byId = (a: EntryVersion, b: EntryVersion) => (a.correlationId < b.correlationId ? -1 : 1);
    expect([...(await take())].sort(byId)).toEqual(ended.map(versionOf).sort(byId));
  });

  it('has none for a task that names no address, belongs to nobody, or goes on', async () => {
    await tasks.finish('silent');
    await tasks.committed(cancellation(await submit('foreign', null), tasks.now()));
    await submit('waiting');
    expect(await take()).toEqual([]);
  });

  it('gives an entry to one taker, and to the next when it is not cleared in time', async () => {
    const other = await harness.again();
    const ended = versionOf(await tasks.committed(cancellation(await submit('t-1'), tasks.now())));
    expect(await take(SHORT_MS)).toEqual([ended]);
    await harness.elapse(SHORT_MS + 20);
    expect(await take(HELD_MS, other)).toEqual([ended]);
    expect(await take()).toEqual([]);
    await store.clearCallbacks([ended]);
    expect(await take()).toEqual([]);
  });

  it('hands a postponed entry out after its time', async () => {
    const ended = versionOf(await tasks.committed(cancellation(await submit('t-1'), tasks.now())));
    await take();
    await store.postponeCallback({ ...ended, seq: ended.seq + 1 }, 0);
    expect(await take()).toEqual([]);
    await store.postponeCallback(ended, SHORT_MS);
    await harness.elapse(SHORT_MS + 20);
    expect(await take()).toEqual([ended]);
    await store.postponeCallback({ correlationId: 'nobody', seq: 1 }, 0);
  });

  it('keeps what is said of an attempt, and neither journal nor end change', async () => {
    const ended = await tasks.committed(cancellation(await submit('t-1'), tasks.now()));
    const callback = afterAttempt(callbackTo(callbackUrl), {
      reason: 'The receiver answered 500.',
      final: false,
    });
    await tasks.committed(callbackReport(ended, callback));
    expect(await store.find('t-1')).toEqual({ ...ended, callback });
    expect(await store.journal('t-1', 0, 10)).toHaveLength(ended.head.seq);
    expect(await take()).toEqual([versionOf(ended)]);
  });

  it('tells the end of an extended task anew', async () => {
    await submit('t-1');
    const work = await tasks.step(await tasks.claim('t-1'), tasks.accepted(), tasks.tick());
    const first = await tasks.committed(tasks.end(work));
    await take();
    const extended = await tasks.committed(tasks.extension(first));
    expect(extended.callback).toEqual(callbackTo(callbackUrl));
    const second = await tasks.committed(cancellation(extended, tasks.now()));
    await store.clearCallbacks([versionOf(first)]);
    expect(await take()).toEqual([versionOf(second)]);
  });

  it('forgets the entries of tasks that it purges', async () => {
    await tasks.committed(cancellation(await submit('t-1'), tasks.now()));
    await harness.elapse(5);
    expect(await store.purge(tasks.now() + 1_000, 10)).toEqual(['t-1']);
    expect(await take()).toEqual([]);
  });
}
