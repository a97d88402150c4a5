import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type AgentFolder, agentFolder, AgentHost } from '../../test/support/agent-host.js';
import { eventually } from '../../test/support/eventually.js';
import { except } from '../../test/support/gateway-engines.js';
import { type ModelScript, type ModelServer, startModelServer } from '../../test/support/model-server.js';
import { ManualClock } from '../../test/support/manual-clock.js';
import { findBreak } from '../domain/journal.js';
import { cancellation, submission, workerChange } from '../domain/task-change.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';

const HANG: ModelScript = () => 'hang';
const DAY_MS = 86_400_000;

describe('Worker', () => {
  let folder: AgentFolder;
  let server: ModelServer | undefined;
  const hosts: AgentHost[] = [];
  beforeEach(() => {
    folder = agentFolder();
  });
  afterEach(async () => {
    for (const host of hosts.splice(0)) await host.close();
    await server?.close();
    folder.remove();
  });

  const open = async (script?: ModelScript) => {
    server = await startModelServer(script ? { script } : {});
    return join(new ManualClock());
  };
  /** Another process over the same data folder and model. */
  const join = (clock: ManualClock) => {
    const host = new AgentHost(folder, server?.url ?? null, clock);
    hosts.push(host);
    return host;
  };
  const claimBy = async (host: AgentHost, correlationId: string, workerId: string) => {
    const record = await host.store.find(correlationId);
    if (record === null) throw new Error('there is no such task');
    const claimed = await host.store.claim(submission(record, 0, false), workerId, 30_000);
    if (claimed.kind !== 'claimed') throw new Error(`the task is ${claimed.kind}`);
    return claimed;
  };
  const types = async (host: AgentHost) => (await host.journal('t1')).map(({ type }) => type);
  const empty = (host: AgentHost) =>
    host.until('the queue is empty', async () => {
      const { ready, inFlight } = await host.queue.depth();
      return ready + inFlight === 0;
    });

  describe('settles a message', () => {
    it('of a finished task without a model call', async () => {
      const host = await open();
      await host.startWorker();
      const record = await host.submit('t1');
      const { head } = await host.ended('t1');
      await host.enqueue(record);
      await empty(host);
      expect(server?.calls).toHaveLength(1);
      expect((await host.store.find('t1'))?.head).toEqual(head);
      expect((await host.queue.depth()).dead).toBe(0);
    });

    it('without a record by making one', async () => {
      const host = await open();
      await host.startWorker();
      await host.queue.publish(Buffer.from(JSON.stringify({ correlation_id: 't1', mandate: 'Hello?' })));
      expect(await host.ended('t1')).toMatchObject({ status: 'completed', owner: null, maxTicks: 50 });
    });

    it('that is malformed by failing its waiting task, and goes on with the next', async () => {
      const host = await open();
      await host.submit('t1', 10, false);
      await host.queue.publish(Buffer.from(JSON.stringify({ correlation_id: 't1', mandate: '' })));
      await host.queue.publish(Buffer.from('no JSON'));
      await host.submit('t2');
      await host.startWorker();
      expect(await host.ended('t1')).toMatchObject({ status: 'error', error: { code: 'bad_envelope' } });
      expect(await host.ended('t2')).toMatchObject({ status: 'completed' });
      const reasons = (await host.queue.deadLetters(10)).map(({ reason }) => reason);
      expect(reasons).toEqual([
        'not JSON in UTF-8',
        expect.stringMatching(/^mandate must be a text of 1 to 50000/),
      ]);
    });

    it('of a newer version by leaving it in the queue', async () => {
      const host = await open();
      await host.queue.publish(Buffer.from('{"correlation_id":"t1","version":2}'));
      await host.startWorker();
      await host.submit('t2');
      await host.until('t2 ends', async () => (await host.store.find('t2'))?.finishedAt);
      expect(await host.queue.depth()).toMatchObject({ ready: 1, dead: 0 });
      expect(await host.store.find('t1')).toBeNull();
    });

    it('of a task in other hands by parking it until the lease has run out', async () => {
      const host = await open();
      await host.submit('t1');
      await claimBy(host, 't1', 'another');
      const since = host.clock.now();
      await host.startWorker();
      expect(await host.ended('t1', 1_000)).toMatchObject({ status: 'completed' });
      expect(host.clock.now() - since).toBeGreaterThanOrEqual(30_000);
      expect(server?.calls).toHaveLength(1);
    });

    it('of a task that made no progress in five attempts by giving it up', async () => {
      const host = await open();
      await host.submit('t1');
      for (let attempt = 1; attempt <= 5; attempt += 1) {
        const claimed = await claimBy(host, 't1', 'another');
        expect(claimed.attempt).toBe(attempt);
        await host.store.surrender(claimed.lease);
      }
      await host.startWorker();
      const task = await host.ended('t1');
      expect(task).toMatchObject({ status: 'error', error: { code: 'attempts_exhausted' } });
      expect(await host.queue.deadLetters(10)).toMatchObject([{ reason: 'gave up after 5 attempts' }]);
      expect(server?.calls).toHaveLength(0);
    });

    it('of a task that waited longer than tasks are kept', async () => {
      const host = await open();
      await host.submit('t1');
      host.clock.advance(7 * DAY_MS + 1);
      await host.startWorker();
      expect(await host.ended('t1')).toMatchObject({ status: 'error', error: { code: 'expired' } });
      expect(server?.calls).toHaveLength(0);
    });
  });

  it('ends a model call in flight when its task is cancelled', async () => {
    const host = await open(HANG);
    const worker = await host.startWorker();
    await host.submit('t1');
    await server?.called(1);
    await host.until('the task is accepted', async () => (await types(host)).includes('accepted'));
    expect(worker.state).toBe('working');
    const record = await host.store.find('t1');
    if (record) await host.store.commit(cancellation(record, host.clock.now()));
    const since = host.clock.now();
    await empty(host);
    expect(host.clock.now() - since).toBeLessThan(2_000);
    await eventually('the connection is closed', () => server?.connections() === 0);
    expect(await types(host)).toEqual(['submitted', 'accepted', 'finished']);
    expect((await host.store.find('t1'))?.status).toBe('cancelled');
    expect(worker.state).toBe('free');
  });

  it('ends a task at its deadline', async () => {
    const host = await open(HANG);
    await host.startWorker({}, { TASK_DEADLINE_SECONDS: '60' });
    await host.submit('t1');
    await server?.called(1);
    const task = await host.ended('t1', 1_000);
    expect(task).toMatchObject({
      status: 'error',
      error: { code: 'deadline_exceeded', message: 'The task ran longer than 60 seconds.' },
    });
    expect(server?.calls).toHaveLength(1);
  });

  it('keeps its lease over a model call that outlasts it', async () => {
    const host = await open(HANG);
    const worker = await host.startWorker();
    await host.submit('t1');
    await server?.called(1);
    const since = host.clock.now();
    await host.until('three leases later', () => host.clock.now() - since > 90_000, 1_000);
    const record = await host.store.find('t1');
    const creation = submission(
      record ?? { correlationId: 't1', owner: null, mandate: '', maxTicks: 1 },
      0,
      false,
    );
    expect((await host.store.claim(creation, 'another', 30_000)).kind).toBe('busy');
    expect(await host.presence.list()).toMatchObject([{ workerId: worker.id, state: 'working', running: 1 }]);
  });

  it('goes on after a crash without repeating a tick or a model call that the journal holds', async () => {
    const script: ModelScript = ({ callNumber }) => {
      if (callNumber === 1) return { action: 'SEARCH', argument: 'euglena' };
      if (callNumber === 2) return { action: 'VISIT', argument: 'corpus:euglena.md' };
      if (callNumber === 3) return 'hang';
      return { action: 'EXIT', argument: 'With a flagellum [s1].' };
    };
    const first = await open(script);
    await first.startWorker();
    await first.submit('t1');
    await server?.called(3);
    await first.until('the visit is journaled', async () => (await types(first)).length === 6);
    const before = await first.journal('t1');
    await first.crash();

    const second = join(new ManualClock(first.clock.now() + 31_000));
    await second.startWorker();
    const task = await second.ended('t1');
    expect(task).toMatchObject({ status: 'completed', usage: { ticks: 3, modelCalls: 3 } });
    expect(task.result?.sources).toMatchObject([{ id: 's1' }]);
    const after = await second.journal('t1');
    expect(after.slice(0, before.length)).toEqual(before);
    expect(after.slice(before.length).map(({ type }) => type)).toEqual(['accepted', 'tick', 'finished']);
    expect(findBreak(after)).toBeNull();
    expect(server?.calls).toHaveLength(4);
    expect(server?.calls[3]?.messages).toEqual(server?.calls[2]?.messages);
  });

  it('carries out a decision again whose observation a crash lost, without asking again', async () => {
    const host = await open();
    await host.submit('t1');
    const { lease, record } = await claimBy(host, 't1', 'crashed');
    const at = host.clock.now();
    const action = { name: 'VISIT', argument: 'corpus:euglena.md', thought: '' } as const;
    const spent = { modelCalls: 1, promptTokens: 1, completionTokens: 1 };
    const steps = [{ kind: 'accepted', at } as const, { kind: 'tick', at, action, spent } as const];
    await host.store.commit(workerChange(record, lease, steps));
    host.clock.advance(31_000);
    await host.startWorker();
    expect(await host.ended('t1')).toMatchObject({ status: 'completed', usage: { ticks: 2, modelCalls: 2 } });
    expect(await types(host)).toEqual([
      'submitted',
      'accepted',
      'tick',
      'accepted',
      'observation',
      'tick',
      'finished',
    ]);
    expect(server?.calls).toHaveLength(1);
  });

  describe('drains', () => {
    it('by handing back a task after the tick that runs', async () => {
      const first = await open(({ callNumber }) =>
        callNumber === 1
          ? { action: 'THINK', argument: 'a note', delayMs: 300 }
          : { action: 'EXIT', argument: 'done' },
      );
      const worker = await first.startWorker();
      await first.submit('t1');
      await server?.called(1);
      const stopping = worker.beforeApplicationShutdown();
      expect(worker.state).toBe('draining');
      expect(worker.beforeApplicationShutdown()).toBe(stopping);
      await first.until('the task is handed back', async () => (await types(first)).includes('released'));
      await first.stop(worker);
      expect(await types(first)).toEqual(['submitted', 'accepted', 'tick', 'observation', 'released']);
      expect(await first.store.find('t1')).toMatchObject({ status: 'pending', workerId: null, tick: 1 });
      expect(await first.queue.depth()).toMatchObject({ ready: 1, inFlight: 0, dead: 0 });
      expect(await first.presence.list()).toEqual([]);

      await first.startWorker();
      expect(await first.ended('t1')).toMatchObject({ status: 'completed', usage: { ticks: 2 } });
      expect(server?.calls).toHaveLength(2);
    });

    it('by ending a tick that outlasts its grace', async () => {
      const host = await open(HANG);
      const worker = await host.startWorker();
      await host.submit('t1');
      await server?.called(1);
      const since = host.clock.now();
      await host.stop(worker);
      expect(host.clock.now() - since).toBeGreaterThanOrEqual(20_000);
      expect(await types(host)).toEqual(['submitted', 'accepted', 'released']);
      expect(await host.queue.depth()).toMatchObject({ ready: 1, inFlight: 0 });
      await eventually('the connection is closed', () => server?.connections() === 0);
    });

    it('with a task that it was just about to claim', async () => {
      const host = await open();
      let claiming: () => void = () => undefined;
      const asked = new Promise<void>((resolve) => (claiming = resolve));
      let answer: () => void = () => undefined;
      const answered = new Promise<void>((resolve) => (answer = resolve));
      const slow = except<TaskStore>(host.store, {
        claim: async (...asking) => {
          claiming();
          await answered;
          return host.store.claim(...asking);
        },
      });
      const worker = await host.startWorker({ store: slow });
      await host.submit('t1');
      await asked;
      let stopped = false;
      void worker.beforeApplicationShutdown().then(() => (stopped = true));
      host.clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
      expect(stopped).toBe(false);
      answer();
      await host.stop(worker);
      expect(await types(host)).toEqual(['submitted', 'accepted', 'released']);
      expect(await host.queue.depth()).toMatchObject({ ready: 1, inFlight: 0 });
      expect(server?.calls).toHaveLength(0);
    });
  });
});
