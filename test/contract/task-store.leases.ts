import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { cancellation, failure, release, workerChange } from '../../src/domain/task-change.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { Tasks, type TaskStoreHarness } from './task-store.harness.js';

/** One worker at a time, and none whose lease is gone. */
export function taskStoreLeases(open: () => Promise<TaskStoreHarness>): void {
  let harness: TaskStoreHarness;
  let store: TaskStore;
  let tasks: Tasks;
  beforeEach(async () => {
    harness = await open();
    store = harness.store;
    tasks = new Tasks(harness);
  });
  afterEach(() => harness.close());

  /** A worker's next step, whatever becomes of it. */
  const tryTick = async (work: Parameters<Tasks['step']>[0], from = store) =>
    (await from.commit(workerChange(work.record, work.lease, [tasks.accepted(), tasks.tick()]))).kind;
  const tryClaim = (id: string, workerId: string, from = store) =>
    from.claim(tasks.creation(id), workerId, harness.leaseMs);
  const ranOut = () => harness.elapse(harness.leaseMs + 30);

  it('gives a claimer the record and its whole journal', async () => {
    const submitted = await tasks.submit('t-1');
    const claimed = await tasks.claim('t-1', 'agent-7');
    expect(claimed).toEqual({
      kind: 'claimed',
      lease: { correlationId: 't-1', workerId: 'agent-7', token: 1 },
      record: submitted,
      journal: await store.journal('t-1', 0, 10),
      attempt: 1,
    });
    expect(claimed.journal).toHaveLength(1);
    // A claim by itself changes neither record nor journal.
    expect(await store.find('t-1')).toEqual(submitted);
  });

  it('creates a task that is not there', async () => {
    const creation = tasks.creation('t-1', null);
    const outcome = await store.claim(creation, 'agent-1', harness.leaseMs);
    expect(outcome).toMatchObject({ kind: 'claimed', record: creation.record, journal: creation.entries });
    expect(await store.find('t-1')).toEqual(creation.record);
    expect(await store.journal('t-1', 0, 10)).toEqual(creation.entries);
  });

  it('ignores the creation when the task is there', async () => {
    const submitted = await tasks.submit('t-1', 'alice');
    const outcome = await store.claim(tasks.creation('t-1', 'mallory', true), 'agent-1', harness.leaseMs);
    expect(outcome).toMatchObject({ kind: 'claimed', record: submitted });
    expect(await store.takeOutbox({ limit: 9, olderThanMs: 0, holdMs: 50 })).toEqual([]);
  });

  it('is busy while the lease lives, to every worker, and says for how long', async () => {
    await tasks.submit('t-1');
    const other = await harness.again();
    await tasks.claim('t-1', 'agent-1');
    for (const workerId of ['agent-1', 'agent-2']) {
      const outcome = await tryClaim('t-1', workerId, other);
      if (outcome.kind !== 'busy') throw new Error(`not busy but ${outcome.kind}`);
      expect(outcome.retryAfterMs).toBeGreaterThan(0);
      expect(outcome.retryAfterMs).toBeLessThanOrEqual(harness.leaseMs);
    }
    await ranOut();
    expect((await tryClaim('t-1', 'agent-2', other)).kind).toBe('claimed');
  });

  it('lets one of several claimers win', async () => {
    await tasks.submit('t-1');
    const other = await harness.again();
    const outcomes = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((n) => tryClaim('t-1', `agent-${n}`, n % 2 === 0 ? store : other)),
    );
    const kinds = outcomes.map(({ kind }) => kind).sort();
    expect(kinds).toEqual(['busy', 'busy', 'busy', 'busy', 'busy', 'claimed']);
  });

  it('lets one of several claimers create the task', async () => {
    const other = await harness.again();
    const outcomes = await Promise.all([tryClaim('t-1', 'agent-1'), tryClaim('t-1', 'agent-2', other)]);
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['busy', 'claimed']);
    expect(await store.journal('t-1', 0, 10)).toHaveLength(1);
  });

  it('is finished for a terminal task', async () => {
    const record = await tasks.finish('t-1');
    expect(await tryClaim('t-1', 'agent-2')).toEqual({ kind: 'finished', record });
  });

  it('keeps the lease of one task apart from another', async () => {
    await tasks.claim('t-1', 'agent-1');
    expect((await tryClaim('t-2', 'agent-1')).kind).toBe('claimed');
  });

  it('refuses a stale token, and writes nothing of the change', async () => {
    await tasks.submit('t-1');
    const old = await tasks.claim('t-1', 'agent-1');
    await ranOut();
    const next = await tasks.claim('t-1', 'agent-2');
    expect(await tryTick(old)).toBe('lease_lost');
    const given = release({ ...old.record, status: 'accepted' }, old.lease, [], 'drain', tasks.now());
    expect(await store.commit(given)).toEqual({ kind: 'lease_lost' });
    expect(await store.find('t-1')).toEqual(next.record);
    expect(await store.journal('t-1', 0, 10)).toHaveLength(1);
    await tasks.step(next, tasks.accepted(), tasks.tick());
  });

  it('refuses the right token in the name of another worker', async () => {
    const { lease, record } = await tasks.claim('t-1', 'agent-1');
    const stolen = { ...lease, workerId: 'agent-2' };
    expect(await tryTick({ record, lease: stolen })).toBe('lease_lost');
    expect(await store.renew([stolen])).toEqual([stolen]);
    await store.surrender(stolen);
    expect((await tryClaim('t-1', 'agent-3')).kind).toBe('busy');
  });

  it('refuses a token that was never given', async () => {
    const submitted = await tasks.submit('t-1');
    for (const token of [0, 1, 99]) {
      const lease = { correlationId: 't-1', workerId: 'agent-1', token };
      expect(await tryTick({ record: submitted, lease })).toBe('lease_lost');
    }
  });

  it('counts a lease that ran out as lost, even if nobody took it since', async () => {
    const work = await tasks.claim('t-1');
    await ranOut();
    expect(await tryTick(work)).toBe('lease_lost');
    expect(await store.renew([work.lease])).toEqual([work.lease]);
    expect((await tryClaim('t-1', 'agent-2')).kind).toBe('claimed');
  });

  it('renews the lease with each commit, for its full length', async () => {
    let work = await tasks.step(await tasks.claim('t-1'), tasks.accepted());
    for (let tick = 0; tick < 3; tick += 1) {
      await harness.elapse(harness.leaseMs * 0.6);
      work = await tasks.step(work, tasks.tick());
    }
    expect((await tryClaim('t-1', 'agent-2')).kind).toBe('busy');
  });

  it('renews leases, and names those that are lost', async () => {
    const kept = await tasks.claim('t-1');
    const cancelled = await tasks.claim('t-2');
    await tasks.committed(cancellation(cancelled.record, tasks.now()));
    const unknown = { correlationId: 'nobody', workerId: 'agent-1', token: 1 };
    for (let round = 0; round < 3; round += 1) {
      await harness.elapse(harness.leaseMs * 0.6);
      expect(await store.renew([kept.lease, cancelled.lease, unknown])).toEqual([cancelled.lease, unknown]);
    }
    expect((await tryClaim('t-1', 'agent-2')).kind).toBe('busy');
    expect(await store.renew([])).toEqual([]);
  });

  it('frees a surrendered task at once, for a larger token', async () => {
    const first = await tasks.claim('t-1', 'agent-1');
    await store.surrender(first.lease);
    expect(await tryTick(first)).toBe('lease_lost');
    const second = await tasks.claim('t-1', 'agent-2');
    expect(second.lease.token).toBeGreaterThan(first.lease.token);
    // The former holder's second surrender takes nothing from the new one.
    await store.surrender(first.lease);
    expect((await tryClaim('t-1', 'agent-3')).kind).toBe('busy');
    await store.surrender({ correlationId: 'nobody', workerId: 'agent-1', token: 1 });
    expect(await store.find('nobody')).toBeNull();
  });

  it("ends any worker's lease with a gateway's cancel", async () => {
    const work = await tasks.step(await tasks.claim('t-1'), tasks.accepted());
    const other = await harness.again();
    const cancelled = await new Tasks(harness, other).committed(cancellation(work.record, tasks.now()));
    expect(await tryTick(work)).toBe('lease_lost');
    expect(await store.commit(tasks.end(work))).toEqual({ kind: 'lease_lost' });
    expect(await store.renew([work.lease])).toEqual([work.lease]);
    expect(await store.find('t-1')).toEqual(cancelled);
  });

  it("leaves the lease alone with a gateway's change that does not end it", async () => {
    const work = await tasks.step(await tasks.claim('t-1'), tasks.accepted());
    const { lease: _, ...unfenced } = workerChange(work.record, work.lease, [tasks.observation()]);
    const record = await tasks.committed(unfenced);
    expect((await tryClaim('t-1', 'agent-2')).kind).toBe('busy');
    await tasks.step({ lease: work.lease, record }, tasks.tick());
  });

  it('lets no worker of before an extension write after it', async () => {
    const work = await tasks.step(await tasks.claim('t-1'), tasks.accepted());
    const failed = await tasks.committed(
      failure(work.record, { code: 'deadline_exceeded', message: 'Too long.' }, tasks.now()),
    );
    const extended = await tasks.committed(tasks.extension(failed));
    expect(await tryTick({ lease: work.lease, record: extended })).toBe('lease_lost');
    const next = await tasks.claim('t-1', 'agent-2');
    expect(next.lease.token).toBeGreaterThan(work.lease.token);
    expect(await tryTick({ lease: work.lease, record: extended })).toBe('lease_lost');
  });

  it('takes a task that it lost from the worker that has it, with its lease', async () => {
    const lease = { correlationId: 't-1', workerId: 'agent-1', token: 7 };
    const creation = tasks.creation('t-1');
    const work = workerChange(creation.record, lease, [tasks.accepted(), tasks.tick()]);
    const whole = { ...work, expectedSeq: 0, entries: [...creation.entries, ...work.entries] };
    const record = await tasks.committed(whole);
    expect(await store.find('t-1')).toEqual(record);
    expect(await store.journal('t-1', 0, 10)).toEqual(whole.entries);
    expect((await store.list('alice', { limit: 9 })).tasks).toEqual([record]);
    expect((await tryClaim('t-1', 'agent-2')).kind).toBe('busy');
    expect(await store.renew([lease])).toEqual([]);
    await tasks.step({ lease, record }, tasks.tick());
    await ranOut();
    expect(await tasks.claim('t-1', 'agent-2')).toMatchObject({ lease: { token: 8 }, attempt: 1 });
  });

  it('takes the end of a task that it lost', async () => {
    const lease = { correlationId: 't-1', workerId: 'agent-1', token: 7 };
    const creation = tasks.creation('t-1');
    const given = release({ ...creation.record, status: 'accepted' }, lease, [], 'drain', tasks.now());
    await tasks.committed({ ...given, expectedSeq: 0, entries: [...creation.entries, ...given.entries] });
    expect((await tasks.claim('t-1', 'agent-2')).lease.token).toBe(8);
  });

  it('takes no task that it has from a worker without its lease, whatever that brings', async () => {
    const lease = { correlationId: 't-1', workerId: 'agent-1', token: 7 };
    const creation = tasks.creation('t-1');
    const submitted = await tasks.committed(creation);
    const work = workerChange(creation.record, lease, [tasks.accepted()]);
    const whole = { ...work, expectedSeq: 0, entries: [...creation.entries, ...work.entries] };
    expect(await store.commit(whole)).toEqual({ kind: 'lease_lost' });
    expect(await store.find('t-1')).toEqual(submitted);
  });

  it('counts the attempts that made no progress', async () => {
    await tasks.submit('t-1');
    const attempts: number[] = [];
    const tokens: number[] = [];
    const attempt = async () => {
      const claimed = await tasks.claim('t-1', `agent-${tokens.length}`);
      attempts.push(claimed.attempt);
      tokens.push(claimed.lease.token);
      return claimed;
    };
    await attempt();
    await ranOut();
    await tasks.step(await attempt(), tasks.accepted());
    await ranOut();
    await store.surrender((await attempt()).lease);
    await tasks.step(await attempt(), tasks.tick());
    await ranOut();
    await attempt();
    await ranOut();
    const last = await attempt();
    await tasks.committed(release(last.record, last.lease, [], 'drain', tasks.now()));
    const released = await attempt();
    await tasks.committed(
      failure(released.record, { code: 'attempts_exhausted', message: 'Failed.' }, tasks.now(), {
        lease: released.lease,
        steps: [tasks.accepted()],
      }),
    );
    await tasks.committed(tasks.extension((await store.find('t-1')) ?? released.record));
    await attempt();
    expect(attempts).toEqual([1, 2, 3, 4, 1, 2, 1, 1]);
    expect(tokens).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });
}
