import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type AgentFolder, agentFolder, AgentHost } from '../../test/support/agent-host.js';
import { except } from '../../test/support/gateway-engines.js';
import { EuglenaError } from '../domain/errors.js';
import { findBreak } from '../domain/journal.js';
import { taskToJson } from '../domain/task.js';
import { cancellation, submission } from '../domain/task-change.js';
import { type WorkerStep } from '../domain/worker-steps.js';
import { EmbeddedDatabase } from '../ports/embedded/embedded-database.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';
import { JournalWriter } from './journal-writer.js';
import { RunAborted } from './run-aborted.js';

const LEASE_MS = 30_000;
const RESULT = {
  answer: 'done',
  exitReason: 'answered' as const,
  sources: [],
  unsupported: [],
  data: null,
  dataError: null,
  model: 'm',
};

describe('JournalWriter', () => {
  let folder: AgentFolder;
  let host: AgentHost;
  let commits: number;
  beforeEach(() => {
    folder = agentFolder();
    host = new AgentHost(folder, null);
    commits = 0;
  });
  afterEach(async () => {
    await host.close();
    folder.remove();
  });

  const counting = (): TaskStore =>
    except<TaskStore>(host.store, {
      commit: (change) => {
        commits += 1;
        return host.store.commit(change);
      },
    });
  const claim = async (workerId = 'w1') => {
    const record = await host.submit('t1', 10, false);
    const creation = submission(record, record.createdAt, false);
    const claimed = await host.store.claim(creation, workerId, LEASE_MS);
    if (claimed.kind !== 'claimed') throw new Error(`the task is ${claimed.kind}`);
    return claimed;
  };
  const open = async (store: TaskStore = counting(), signal = new AbortController().signal) => {
    return new JournalWriter(store, host.clock, await claim(), signal);
  };
  const types = async () => (await host.journal('t1')).map(({ type }) => type);
  const accepted = (): WorkerStep => ({ kind: 'accepted', at: host.clock.now() });
  const tick = (argument = 'a'): WorkerStep => ({
    kind: 'tick',
    at: host.clock.now(),
    action: { name: 'THINK', argument, thought: '' },
    spent: { modelCalls: 1, promptTokens: 10, completionTokens: 2 },
  });
  const observation = (): WorkerStep => ({
    kind: 'observation',
    at: host.clock.now(),
    data: { text: 'Noted.' },
  });
  const lostAnswer = (): TaskStore => {
    let lost = false;
    return except<TaskStore>(host.store, {
      commit: async (change) => {
        commits += 1;
        const outcome = await host.store.commit(change);
        if (lost) return outcome;
        lost = true;
        throw new EuglenaError('engine_unavailable', 'the answer was lost');
      },
    });
  };

  it('writes a fast tick in one commit, with what the tick before it brought', async () => {
    const writer = await open();
    writer.later(accepted());
    await writer.now(tick('a'));
    writer.later(observation());
    await writer.now(tick('b'));
    writer.later(observation());
    await writer.complete(RESULT);
    expect(commits).toBe(3);
    expect(await types()).toEqual([
      'submitted',
      'accepted',
      'tick',
      'observation',
      'tick',
      'observation',
      'finished',
    ]);
    expect(findBreak(await host.journal('t1'))).toBeNull();
    expect(writer.record).toEqual(await host.store.find('t1'));
    expect(writer.record.usage).toMatchObject({ ticks: 2, modelCalls: 2, promptTokens: 20 });
  });

  it('writes a step that is left alone after 50 ms, and not before', async () => {
    const writer = await open();
    writer.later(accepted());
    host.clock.advance(49);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await types()).toEqual(['submitted']);
    host.clock.advance(1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await types()).toEqual(['submitted', 'accepted']);
  });

  it('keeps the order of writes that do not wait for each other', async () => {
    const writer = await open();
    writer.later(accepted());
    const writes = ['a', 'b', 'c'].map((argument) => writer.now(tick(argument)));
    await Promise.all(writes);
    const ticks = (await host.journal('t1')).filter(({ type }) => type === 'tick');
    expect(ticks.map(({ data }) => data.argument)).toEqual(['a', 'b', 'c']);
  });

  it('rejects when the lease ran out', async () => {
    const writer = await open();
    host.clock.advance(LEASE_MS);
    await expect(writer.now(accepted())).rejects.toMatchObject({ name: 'RunAborted', reason: 'lease_lost' });
    expect(await types()).toEqual(['submitted']);
  });

  it('rejects when the task was cancelled meanwhile', async () => {
    const writer = await open();
    await writer.now(accepted());
    await host.store.commit(cancellation(writer.record, host.clock.now()));
    const written = writer.complete(RESULT, tick());
    await expect(written).rejects.toMatchObject({ name: 'RunAborted', reason: 'lease_lost' });
    expect((await host.store.find('t1'))?.status).toBe('cancelled');
  });

  it('rejects the next write when a waiting step could not be written', async () => {
    const writer = await open();
    writer.later(accepted());
    host.clock.advance(LEASE_MS);
    await new Promise((resolve) => setImmediate(resolve));
    await expect(writer.now(tick())).rejects.toMatchObject({ reason: 'lease_lost' });
    expect(await types()).toEqual(['submitted']);
  });

  it('recognises a write that was applied although its answer was lost', async () => {
    const writer = await open(lostAnswer());
    let written = false;
    void writer.now(accepted()).then(() => (written = true));
    await host.until('the write is repeated', () => written);
    expect(commits).toBe(2);
    expect(await types()).toEqual(['submitted', 'accepted']);
    await writer.now(tick());
    expect((await types()).at(-1)).toBe('tick');
  });

  it('recognises the end of the task that was applied although its answer was lost', async () => {
    const writer = await open(lostAnswer());
    writer.later(accepted());
    let written = false;
    void writer.complete(RESULT, tick()).then(() => (written = true));
    await host.until('the write is repeated', () => written);
    expect(await types()).toEqual(['submitted', 'accepted', 'tick', 'finished']);
    expect(writer.record).toMatchObject({ status: 'completed', usage: { ticks: 1 } });
  });

  it('gives a store up that is away for longer than a minute', async () => {
    const away = async () => {
      throw new EuglenaError('engine_unavailable', 'away');
    };
    const writer = await open(except<TaskStore>(host.store, { commit: away }));
    const begin = host.clock.now();
    let failure: unknown;
    void writer.now(accepted()).catch((error: unknown) => (failure = error));
    await host.until('the writer gives up', () => failure, 1_000);
    expect(failure).toMatchObject({ code: 'engine_unavailable' });
    expect(host.clock.now() - begin).toBeGreaterThan(50_000);
  });

  it('gives it up after five seconds once the worker stops', async () => {
    const away = async () => {
      throw new EuglenaError('engine_unavailable', 'away');
    };
    const ended = new AbortController();
    const writer = await open(except<TaskStore>(host.store, { commit: away }), ended.signal);
    const begin = host.clock.now();
    writer.later(accepted());
    ended.abort(new RunAborted('drain'));
    let failure: unknown;
    void writer.release('drain').catch((error: unknown) => (failure = error));
    await host.until('the writer gives up', () => failure, 1_000);
    expect(failure).toMatchObject({ code: 'engine_unavailable' });
    expect(host.clock.now() - begin).toBeLessThan(10_000);
  });

  describe('over a store that lost', () => {
    let database: EmbeddedDatabase;
    beforeEach(() => {
      database = EmbeddedDatabase.open(folder.path);
    });
    afterEach(() => database.close());

    const loseEverything = () => {
      for (const table of ['tasks', 'task_journal']) database.run(`DELETE FROM ${table}`);
    };
    /** The store as it is now, to go back to: a server that had not saved its last second. */
    const remembered = async () => {
      const record = await host.store.find('t1');
      const json = JSON.stringify(record === null ? null : taskToJson(record));
      return () => {
        const seq = record?.head.seq ?? 0;
        database.run('UPDATE tasks SET json = ?, seq = ?, status = ?', json, seq, record?.status ?? '');
        database.run('DELETE FROM task_journal WHERE seq > ?', seq);
      };
    };

    it('its last entries: writes them again with the next step', async () => {
      const writer = await open();
      await writer.now(accepted());
      const goBack = await remembered();
      await writer.now(tick('a'));
      writer.later(observation());
      await writer.now(tick('b'));
      goBack();
      writer.later(observation());
      await writer.complete(RESULT, tick('c'));
      const journal = await host.journal('t1');
      expect(findBreak(journal)).toBeNull();
      expect(journal.filter(({ type }) => type === 'tick').map(({ data }) => data.argument)).toEqual([
        'a',
        'b',
        'c',
      ]);
      expect(await host.store.find('t1')).toEqual(writer.record);
      expect(writer.record).toMatchObject({ status: 'completed', usage: { ticks: 3 } });
    });

    it('the task: stores it again with its next step, and goes on', async () => {
      const writer = await open();
      await writer.now(accepted());
      await writer.now(tick('a'));
      loseEverything();
      await writer.now(tick('b'));
      await writer.now(tick('c'));
      expect(await types()).toEqual(['submitted', 'accepted', 'tick', 'tick', 'tick']);
      expect(await host.store.find('t1')).toEqual(writer.record);
      expect(writer.record).toMatchObject({ status: 'in_progress', owner: 'owner', usage: { ticks: 3 } });
    });

    it('the task: stores it again with its end', async () => {
      const writer = await open();
      await writer.now(accepted());
      loseEverything();
      await writer.complete(RESULT, tick());
      expect(findBreak(await host.journal('t1'))).toBeNull();
      expect(await host.store.find('t1')).toMatchObject({ status: 'completed', owner: 'owner' });
      expect(await host.store.takeSettlements({ limit: 9, holdMs: 1 })).toHaveLength(1);
    });

    it('the task: gives it back when the run ends, and only then', async () => {
      const writer = await open();
      await writer.now(accepted());
      await writer.now(tick('a'));
      await writer.restoreIfLost();
      expect(await types()).toEqual(['submitted', 'accepted', 'tick']);
      writer.later(observation());
      loseEverything();
      await writer.restoreIfLost();
      expect(await types()).toEqual(['submitted', 'accepted', 'tick', 'observation', 'released']);
      expect(await host.store.find('t1')).toMatchObject({ status: 'pending', workerId: null });
    });

    it('the task: leaves what somebody else made of it alone', async () => {
      const writer = await open();
      await writer.now(accepted());
      loseEverything();
      await claim('w2');
      const written = writer.complete(RESULT, tick());
      await expect(written).rejects.toMatchObject({ name: 'RunAborted', reason: 'lease_lost' });
      expect(await types()).toEqual(['submitted']);
    });
  });

  it('hands the task back with the steps that were still waiting', async () => {
    const ended = new AbortController();
    const writer = await open(counting(), ended.signal);
    writer.later(accepted());
    ended.abort(new Error('over'));
    await writer.release('drain');
    expect(await types()).toEqual(['submitted', 'accepted', 'released']);
    expect(writer.record).toMatchObject({ status: 'pending', workerId: null });
  });
});
