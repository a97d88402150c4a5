import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../test/support/eventually.js';
import { type GatewayEngines, except, openGatewayEngines } from '../../test/support/gateway-engines.js';
import { EuglenaError } from '../domain/errors.js';
import { cancellation, submission } from '../domain/task-change.js';
import { type Quota } from '../ports/quota/quota.port.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';
import { UnconfirmedPublish, type WorkQueue } from '../ports/work-queue/work-queue.port.js';
import { SubmissionService } from './submission.service.js';

const OWNER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const request = { owner: OWNER, mandate: 'Find X', maxTicks: 50 };
const keyed = { ...request, idempotencyKey: 'k-1' };
const down = () => Promise.reject(new EuglenaError('engine_unavailable', 'pulled the plug'));

let engines: GatewayEngines;
beforeEach(() => {
  engines = openGatewayEngines();
});
afterEach(() => engines.close());

function service(
  faults: { store?: Partial<TaskStore>; queue?: Partial<WorkQueue>; quota?: Partial<Quota> } = {},
) {
  return new SubmissionService(
    except(engines.store, faults.store ?? {}),
    except(engines.queue, faults.queue ?? {}),
    except(engines.quota, faults.quota ?? {}),
    engines.clock,
  );
}

async function traces() {
  const { tasks } = await engines.store.list(OWNER, { limit: 10 });
  const { ready } = await engines.queue.depth();
  const { used } = await engines.quota.usage(OWNER);
  return { tasks: tasks.length, ready, used };
}

/** Turns the clock until `promise` is settled: submissions wait a moment for what they cannot know yet. */
async function outwaited<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  const mark = () => (settled = true);
  promise.then(mark, mark);
  while (!settled) {
    await new Promise(setImmediate);
    engines.clock.advance(50);
  }
  return promise;
}

const outbox = () => engines.store.takeOutbox({ limit: 10, olderThanMs: 0, holdMs: 0 });
const NOTHING = { tasks: 0, ready: 0, used: 0 };

describe('a submission', () => {
  it('is stored, queued and charged, and its outbox entry is cleared', async () => {
    const submissions = service();
    const task = await submissions.submit(request);
    await submissions.beforeApplicationShutdown();
    expect(task).toMatchObject({ owner: OWNER, status: 'pending', mandate: 'Find X', maxTicks: 50 });
    expect(await engines.store.find(task.correlationId)).toEqual(task);
    expect(await traces()).toEqual({ tasks: 1, ready: 1, used: 50 });
    expect(await outbox()).toEqual([]);
  });

  it('is refused when the quota does not cover it, and leaves nothing', async () => {
    await service().submit({ ...request, maxTicks: 200 });
    const before = await traces();
    engines.clock.advance(1_000);
    await expect(service().submit({ ...request, maxTicks: 57 })).rejects.toMatchObject({
      code: 'quota_exceeded',
      usage: { remaining: 56 },
      retryAfterSeconds: 12 * 3_600 - 1,
    });
    expect(await traces()).toEqual(before);
    await expect(service().submit({ ...request, maxTicks: 56 })).resolves.toMatchObject({ maxTicks: 56 });
  });

  it('leaves nothing when the quota does not answer', async () => {
    await expect(service({ quota: { reserve: down } }).submit(request)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await traces()).toEqual(NOTHING);
  });

  it('leaves nothing when the store does not take it', async () => {
    await expect(service({ store: { commit: down } }).submit(request)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await traces()).toEqual(NOTHING);
  });

  it('leaves nothing when the store took it and its answer was lost', async () => {
    const commit: TaskStore['commit'] = async (change) => {
      await engines.store.commit(change);
      return down();
    };
    await expect(service({ store: { commit } }).submit(request)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await traces()).toEqual(NOTHING);
    expect(await outbox()).toEqual([]);
  });

  it('gives its ticks back at once when the store was certainly not reached', async () => {
    const unreached = () =>
      Promise.reject(new EuglenaError('engine_unavailable', 'pulled the plug', { nothingDone: true }));
    const gone = { commit: unreached, withdraw: unreached, find: unreached };
    await expect(service({ store: gone }).submit(request)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await traces()).toEqual(NOTHING);
  });

  it('is refused in time although the store is slow to undo it, and undone all the same', async () => {
    let undo: () => void = () => undefined;
    const withdraw: TaskStore['withdraw'] = async (correlationId) => {
      await new Promise<void>((resolve) => (undo = resolve));
      return engines.store.withdraw(correlationId);
    };
    const commit: TaskStore['commit'] = async (change) => {
      await engines.store.commit(change);
      return down();
    };
    const refused = service({ store: { commit, withdraw } }).submit(request);
    await Promise.race([refused.catch(() => undefined), new Promise((resolve) => setImmediate(resolve))]);
    engines.clock.advance(250);
    await expect(refused).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(await traces()).toMatchObject({ tasks: 1, used: 50 });
    undo();
    await eventually('it is undone', async () => (await traces()).used === 0);
    expect(await traces()).toEqual(NOTHING);
  });

  it('keeps its reservation for the reconciler when the store is gone altogether', async () => {
    const gone = { commit: down, withdraw: down, find: down };
    const submissions = service({ store: gone });
    await expect(outwaited(submissions.submit(request))).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    await submissions.beforeApplicationShutdown();
    expect(await traces()).toEqual({ tasks: 0, ready: 0, used: 50 });
    engines.clock.advance(60_000);
    expect(await engines.quota.unsettled(60_000, 10)).toHaveLength(1);
  });

  it('leaves nothing once the store is back, when the store took it and went away before it answered', async () => {
    let isAway = false;
    const awayOr = <T>(work: () => Promise<T>) => (isAway ? down() : work());
    const store: Partial<TaskStore> = {
      commit: async (change) => {
        await engines.store.commit(change);
        isAway = true;
        return down();
      },
      withdraw: (id) => awayOr(() => engines.store.withdraw(id)),
      find: (id) => awayOr(() => engines.store.find(id)),
    };
    const submissions = service({ store });
    await expect(outwaited(submissions.submit(request))).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await traces()).toEqual({ tasks: 1, ready: 0, used: 50 });
    isAway = false;
    await outwaited(submissions.beforeApplicationShutdown());
    expect(await traces()).toEqual(NOTHING);
    expect(await outbox()).toEqual([]);
  });

  it('is withdrawn when it cannot be queued', async () => {
    await expect(service({ queue: { publish: down } }).submit(request)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await traces()).toEqual(NOTHING);
    expect(await outbox()).toEqual([]);
  });

  it('is accepted when it can neither be queued nor withdrawn: the outbox has it', async () => {
    const notReached = () =>
      Promise.reject(new EuglenaError('engine_unavailable', 'not reached', { nothingDone: true }));
    const faults = { queue: { publish: down }, store: { withdraw: notReached } };
    const task = await service(faults).submit(request);
    expect(await traces()).toEqual({ tasks: 1, ready: 0, used: 50 });
    expect((await outbox()).map(({ envelope }) => envelope.correlationId)).toEqual([task.correlationId]);
  });

  it('is refused when it cannot be queued and was withdrawn, although the answer to that was lost', async () => {
    let lost = false;
    const withdraw: TaskStore['withdraw'] = async (id) => {
      const withdrawn = await engines.store.withdraw(id);
      if (lost) return withdrawn;
      lost = true;
      return down();
    };
    const faults = { queue: { publish: down }, store: { withdraw } };
    await expect(service(faults).submit(request)).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(await traces()).toEqual(NOTHING);
  });

  it('is not accepted while nobody can tell whether it was withdrawn', async () => {
    const faults = { queue: { publish: down }, store: { withdraw: down, find: down } };
    const submissions = service(faults);
    await expect(outwaited(submissions.submit(request))).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    await submissions.beforeApplicationShutdown();
  });

  it('is accepted when it cannot be queued but another gateway took it out of the outbox', async () => {
    const publish = async () => {
      await outbox();
      return down();
    };
    await service({ queue: { publish } }).submit(request);
    expect(await traces()).toEqual({ tasks: 1, ready: 0, used: 50 });
  });

  it('is accepted when nobody can tell whether it was queued: its message may come, and the outbox has it', async () => {
    const publish = () => Promise.reject(new UnconfirmedPublish('no confirmation'));
    const task = await service({ queue: { publish } }).submit(request);
    expect(await traces()).toEqual({ tasks: 1, ready: 0, used: 50 });
    expect((await outbox()).map(({ envelope }) => envelope.correlationId)).toEqual([task.correlationId]);
  });

  it('does not fail when the outbox cannot be cleared', async () => {
    const submissions = service({ store: { clearOutbox: down } });
    await submissions.submit(request);
    await submissions.beforeApplicationShutdown();
    expect(await outbox()).toHaveLength(1);
  });

  it('says that the engine is down even if the ticks cannot be given back yet', async () => {
    const faults = { queue: { publish: down }, quota: { settle: down } };
    await expect(service(faults).submit(request)).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(await traces()).toEqual({ tasks: 0, ready: 0, used: 50 });
  });
});

describe('a submission beyond the limit of active tasks', () => {
  const limited = { ...request, maxTicks: 5, activeLimit: 2 };

  it('is refused and leaves nothing, until a task has ended', async () => {
    const first = await service().submit(limited);
    await service().submit(limited);
    const before = await traces();
    await expect(service().submit(limited)).rejects.toMatchObject({
      code: 'too_many_active_tasks',
      retryAfterSeconds: 10,
    });
    expect(await traces()).toEqual(before);
    await engines.store.commit(cancellation(first, engines.clock.now()));
    await service().submit(limited);
  });

  it('is refused when many come at once, save for as many as the limit allows', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => service().submit(limited)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    expect(await traces()).toEqual({ tasks: 2, ready: 2, used: 10 });
  });

  it('is answered all the same when its key was accepted before', async () => {
    const first = await service().submit({ ...limited, idempotencyKey: 'k-1' });
    await service().submit(limited);
    expect(await service().submit({ ...limited, idempotencyKey: 'k-1' })).toEqual(first);
  });
});

describe('a submission with a key', () => {
  it('is one task, charged once, however often it is sent', async () => {
    const first = await service().submit(keyed);
    const again = await service().submit(keyed);
    expect(again).toEqual(first);
    expect(first.correlationId).toMatch(/^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    expect(await traces()).toEqual({ tasks: 1, ready: 1, used: 50 });
  });

  it('is one task when it is sent many times at once', async () => {
    const gateways = Array.from({ length: 8 }, () => service());
    const tasks = await Promise.all(gateways.map((gateway) => gateway.submit(keyed)));
    expect(new Set(tasks.map(({ correlationId }) => correlationId)).size).toBe(1);
    expect(await traces()).toEqual({ tasks: 1, ready: 1, used: 50 });
  });

  it('is refused when the key was used for something else', async () => {
    await service().submit(keyed);
    const before = await traces();
    for (const other of [{ mandate: 'Find Y' }, { maxTicks: 51 }]) {
      await expect(service().submit({ ...keyed, ...other })).rejects.toMatchObject({
        code: 'idempotency_mismatch',
      });
    }
    expect(await traces()).toEqual(before);
  });

  it('is another request with another schema, and the same one with its fields in another order', async () => {
    const outputSchema = { type: 'object', required: ['a'] };
    const first = await service().submit({ ...keyed, outputSchema });
    expect(first.outputSchema).toEqual(outputSchema);
    const reordered = { required: ['a'], type: 'object' };
    expect(await service().submit({ ...keyed, outputSchema: reordered })).toEqual(first);
    for (const other of [{}, { outputSchema: { type: 'object' } }]) {
      await expect(service().submit({ ...keyed, ...other })).rejects.toMatchObject({
        code: 'idempotency_mismatch',
      });
    }
  });

  it('is refused when the key has ticks reserved for another budget, which stay reserved', async () => {
    const gone = { commit: down, find: () => Promise.resolve(null), withdraw: down };
    const quota = { settle: down };
    await expect(service({ store: gone, quota }).submit(keyed)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await traces()).toEqual({ tasks: 0, ready: 0, used: 50 });
    await expect(service().submit({ ...keyed, maxTicks: 200 })).rejects.toMatchObject({
      code: 'idempotency_mismatch',
    });
    expect(await traces()).toEqual({ tasks: 0, ready: 0, used: 50 });
    await expect(service().submit(keyed)).resolves.toMatchObject({ maxTicks: 50 });
    expect(await traces()).toEqual({ tasks: 1, ready: 1, used: 50 });
  });

  it('is charged when it is sent again after a try that failed and gave its ticks back', async () => {
    await expect(service({ store: { commit: down } }).submit(keyed)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await traces()).toEqual(NOTHING);
    await service().submit(keyed);
    expect(await traces()).toEqual({ tasks: 1, ready: 1, used: 50 });
  });

  it("does not collide with another user's key", async () => {
    const mine = await service().submit(keyed);
    const theirs = await service().submit({ ...keyed, owner: 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb' });
    expect(theirs.correlationId).not.toBe(mine.correlationId);
  });

  it('is refused when the id is taken by a task of nobody', async () => {
    const elsewhere = openGatewayEngines();
    const { store, queue, quota, clock } = elsewhere;
    const { correlationId } = await new SubmissionService(store, queue, quota, clock).submit(keyed);
    await elsewhere.close();
    const foreign = { correlationId, owner: null, mandate: keyed.mandate, maxTicks: keyed.maxTicks };
    await engines.store.commit(submission(foreign, engines.clock.now(), false));
    await expect(service().submit(keyed)).rejects.toMatchObject({ code: 'idempotency_mismatch' });
  });

  it('stays when it cannot be queued, as it may have been answered to another request already', async () => {
    const task = await service({ queue: { publish: down } }).submit(keyed);
    expect(await service().submit(keyed)).toEqual(task);
    expect(await traces()).toEqual({ tasks: 1, ready: 0, used: 50 });
    expect(await outbox()).toHaveLength(1);
  });

  it('does not take away the task of a twin when its own write fails', async () => {
    const commit: TaskStore['commit'] = async () => {
      await service().submit(keyed);
      return down();
    };
    await expect(service({ store: { commit } }).submit(keyed)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await traces()).toEqual({ tasks: 1, ready: 1, used: 50 });
  });

  it('is told to try again when its twin is withdrawn at that moment', async () => {
    const commit: TaskStore['commit'] = () => Promise.resolve({ kind: 'conflict' });
    await expect(service({ store: { commit } }).submit(keyed)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await traces()).toEqual(NOTHING);
  });
});
