import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type GatewayEngines, except, openGatewayEngines } from '../../test/support/gateway-engines.js';
import { claimAndAnswer, claimTask } from '../../test/support/scripted-agent.js';
import { readSettings } from '../config/settings.js';
import { EuglenaError } from '../domain/errors.js';
import { findBreak } from '../domain/journal.js';
import { failure, submission } from '../domain/task-change.js';
import { type TaskRecord } from '../domain/task.js';
import { type Quota } from '../ports/quota/quota.port.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';
import { type WorkQueue } from '../ports/work-queue/work-queue.port.js';
import { ExtensionService } from './extension.service.js';
import { ReservationReconciler, SettlementReconciler } from './reconcilers.js';
import { SubmissionService } from './submission.service.js';
import { TasksService } from './tasks.service.js';

const OWNER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const down = () => Promise.reject(new EuglenaError('engine_unavailable', 'pulled the plug'));

let engines: GatewayEngines;
beforeEach(() => {
  engines = openGatewayEngines();
});
afterEach(() => engines.close());

function service(
  faults: { store?: Partial<TaskStore>; queue?: Partial<WorkQueue>; quota?: Partial<Quota> } = {},
  activeLimit = 100,
) {
  const store = except(engines.store, faults.store ?? {});
  return new ExtensionService(
    store,
    except(engines.queue, faults.queue ?? {}),
    except(engines.quota, faults.quota ?? {}),
    engines.clock,
    readSettings({ USER_MAX_ACTIVE_TASKS: String(activeLimit) }),
    new TasksService(store, engines.clock),
  );
}

async function submit(maxTicks = 10): Promise<string> {
  const { store, queue, quota, clock } = engines;
  const submissions = new SubmissionService(store, queue, quota, clock);
  const { correlationId } = await submissions.submit({ owner: OWNER, mandate: 'Find X', maxTicks });
  await submissions.beforeApplicationShutdown();
  return correlationId;
}

/** A task of 10 ticks that ended after 4. */
async function ended(): Promise<TaskRecord> {
  return claimAndAnswer(engines.store, await submit(), 4);
}

const used = async () => (await engines.quota.usage(OWNER)).used;
const ready = async () => (await engines.queue.depth()).ready;
const outbox = () => engines.store.takeOutbox({ limit: 10, olderThanMs: 0, holdMs: 0 });
const settleAll = async () => {
  await new SettlementReconciler(engines.store, engines.quota).tick();
  engines.clock.advance(60_000);
  await new ReservationReconciler(engines.store, engines.quota).tick();
};
const extend = (correlationId: string, ticks = 5, key?: string, by = service()) =>
  by.extend({ owner: OWNER, correlationId, ticks, ...(key === undefined ? {} : { idempotencyKey: key }) });

describe('an extension', () => {
  it('queues the task again, and reserves all that it may still use', async () => {
    const before = await ended();
    const task = await extend(before.correlationId);
    expect(task).toMatchObject({ status: 'pending', maxTicks: 15, result: null, usage: { ticks: 4 } });
    expect(await engines.store.find(task.correlationId)).toEqual(task);
    expect([await ready(), await used(), await outbox()]).toEqual([2, 4 + 11, []]);
    const journal = await engines.store.journal(task.correlationId, 0, 100);
    expect(journal.at(-1)).toMatchObject({ type: 'extended', data: { ticks: 5, max_ticks: 15 } });
    expect(findBreak(journal)).toBeNull();
  });

  it('is charged for what each run used, however often and whenever that is told', async () => {
    const { correlationId } = await ended();
    await extend(correlationId);
    await claimAndAnswer(engines.store, correlationId, 3);
    await extend(correlationId, 20);
    expect(await used()).toBe(4 + 3 + (35 - 7));
    await settleAll();
    expect(await used()).toBe(4 + 3 + (35 - 7));
    await claimAndAnswer(engines.store, correlationId, 2);
    await settleAll();
    await settleAll();
    expect(await used()).toBe(9);
    expect(await engines.quota.unsettled(0, 10)).toEqual([]);
  });

  it('takes a task that failed', async () => {
    const id = await submit();
    const { record, lease } = await claimTask(engines.store, id);
    const error = { code: 'model_unavailable', message: 'Gone.' } as const;
    await engines.store.commit(failure(record, error, engines.clock.now(), { lease, steps: [] }));
    expect(await extend(id)).toMatchObject({ status: 'pending', error: null });
    expect(await used()).toBe(15);
  });

  it('is refused for a task that waits, works or was cancelled', async () => {
    const id = await submit();
    await expect(extend(id)).rejects.toMatchObject({ code: 'conflict' });
    await claimTask(engines.store, id);
    await expect(extend(id)).rejects.toMatchObject({ code: 'conflict' });
    await new TasksService(engines.store, engines.clock).cancel(OWNER, id);
    await expect(extend(id)).rejects.toMatchObject({ code: 'conflict' });
    expect(await ready()).toBe(1);
  });

  it('is refused for somebody else’s task', async () => {
    const { correlationId } = await ended();
    const stranger = { owner: 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb', correlationId, ticks: 5 };
    await expect(service().extend(stranger)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('keeps the whole budget within what any task may have', async () => {
    const { correlationId } = await ended();
    await expect(extend(correlationId, 191)).rejects.toMatchObject({
      code: 'invalid_field',
      fields: [{ field: 'ticks' }],
    });
    expect(await extend(correlationId, 190)).toMatchObject({ maxTicks: 200 });
  });

  it('is refused when the quota does not cover it, and changes nothing but that what ended is settled', async () => {
    const before = await ended();
    await engines.quota.reserve(OWNER, 'other', 246);
    await expect(extend(before.correlationId)).rejects.toMatchObject({
      code: 'quota_exceeded',
      usage: { remaining: 6 },
    });
    expect(await engines.store.find(before.correlationId)).toEqual(before);
    expect([await ready(), await used()]).toEqual([1, 250]);
  });

  it('is refused beyond the limit of active tasks, and gives its ticks back', async () => {
    const { correlationId } = await ended();
    await submit();
    await expect(extend(correlationId, 5, undefined, service({}, 1))).rejects.toMatchObject({
      code: 'too_many_active_tasks',
      retryAfterSeconds: 10,
    });
    expect(await used()).toBe(14);
    await extend(correlationId, 5, undefined, service({}, 2));
  });

  it('happens once when two ask at once, and the other’s ticks go back', async () => {
    const { correlationId } = await ended();
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => extend(correlationId)));
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(3);
    for (const outcome of refused) expect(outcome).toMatchObject({ reason: { code: 'conflict' } });
    expect([await ready(), await used()]).toEqual([2, 15]);
  });
});

describe('an extension when engines fail', () => {
  it('changes nothing when the quota does not answer', async () => {
    const before = await ended();
    for (const quota of [{ settle: down }, { reserve: down }]) {
      await expect(extend(before.correlationId, 5, undefined, service({ quota }))).rejects.toMatchObject({
        code: 'engine_unavailable',
      });
    }
    expect(await engines.store.find(before.correlationId)).toEqual(before);
    await settleAll();
    expect([await ready(), await used()]).toEqual([1, 4]);
  });

  it('changes nothing when the store does not take it', async () => {
    const before = await ended();
    await expect(
      extend(before.correlationId, 5, undefined, service({ store: { commit: down } })),
    ).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(await engines.store.find(before.correlationId)).toEqual(before);
    expect([await ready(), await used()]).toEqual([1, 4]);
  });

  it('is accepted when the store took it and its answer was lost: the outbox has it', async () => {
    const { correlationId } = await ended();
    const commit: TaskStore['commit'] = async (change) => {
      await engines.store.commit(change);
      return down();
    };
    const task = await extend(correlationId, 5, undefined, service({ store: { commit } }));
    expect(task).toMatchObject({ status: 'pending', maxTicks: 15 });
    expect((await outbox()).map(({ envelope }) => envelope.maxTicks)).toEqual([15]);
    expect(await used()).toBe(15);
  });

  it('is accepted when it cannot be queued: the outbox has it', async () => {
    const { correlationId } = await ended();
    await extend(correlationId, 5, undefined, service({ queue: { publish: down } }));
    expect([await ready(), (await outbox()).length, await used()]).toEqual([1, 1, 15]);
  });

  it('leaves what a crash left reserved to the reconciler', async () => {
    const { correlationId } = await ended();
    const commit = () => new Promise<never>(() => undefined);
    void extend(correlationId, 5, undefined, service({ store: { commit } }));
    while ((await used()) !== 15) await new Promise(setImmediate);
    await settleAll();
    expect(await used()).toBe(4);
    await extend(correlationId);
    expect(await used()).toBe(15);
  });
});

describe('an extension with a key', () => {
  it('happens once, however often it is sent, also after the task was extended again', async () => {
    const { correlationId } = await ended();
    await extend(correlationId, 5, 'k-1');
    expect(await extend(correlationId, 5, 'k-1')).toMatchObject({ status: 'pending', maxTicks: 15 });
    await claimAndAnswer(engines.store, correlationId);
    expect(await extend(correlationId, 5, 'k-1')).toMatchObject({ status: 'completed', maxTicks: 15 });
    await extend(correlationId, 5, 'k-2');
    await claimAndAnswer(engines.store, correlationId);
    expect(await extend(correlationId, 5, 'k-1')).toMatchObject({ status: 'completed', maxTicks: 20 });
    await settleAll();
    expect(await used()).toBe(6);
  });

  it('happens once when it is sent many times at once', async () => {
    const { correlationId } = await ended();
    const tasks = await Promise.all(Array.from({ length: 8 }, () => extend(correlationId, 5, 'k-1')));
    expect(new Set(tasks.map(({ maxTicks }) => maxTicks))).toEqual(new Set([15]));
    expect([await ready(), await used()]).toEqual([2, 15]);
  });

  it('is refused when the key was used for another number of ticks', async () => {
    const { correlationId } = await ended();
    await extend(correlationId, 5, 'k-1');
    await expect(extend(correlationId, 6, 'k-1')).rejects.toMatchObject({ code: 'idempotency_mismatch' });
  });

  it('keeps its ticks for the next try when the store failed, or for the reconciler', async () => {
    const { correlationId } = await ended();
    const broken = service({ store: { commit: down } });
    await expect(extend(correlationId, 5, 'k-1', broken)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await used()).toBe(15);
    await expect(extend(correlationId, 6, 'k-1')).rejects.toMatchObject({ code: 'idempotency_mismatch' });
    await extend(correlationId, 5, 'k-1');
    expect(await used()).toBe(15);
    await claimAndAnswer(engines.store, correlationId);
    await expect(extend(correlationId, 5, 'k-2', broken)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    await settleAll();
    expect(await used()).toBe(5);
  });

  it('is told apart from the same key of another task', async () => {
    const [one, two] = [await ended(), await ended()];
    await extend(one.correlationId, 5, 'k-1');
    expect(await extend(two.correlationId, 7, 'k-1')).toMatchObject({ maxTicks: 17 });
  });
});

it('a task of before there were extensions can be extended', async () => {
  const input = { correlationId: 'old', owner: OWNER, mandate: 'm', maxTicks: 10 };
  const { record, ...rest } = submission(input, engines.clock.now(), false);
  await engines.store.commit({ ...rest, record });
  await engines.quota.reserve(OWNER, 'old', 10);
  await claimAndAnswer(engines.store, 'old', 2);
  await extend('old');
  expect(await used()).toBe(2 + 13);
});
