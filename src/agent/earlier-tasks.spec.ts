import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type AgentFolder, agentFolder, AgentHost } from '../../test/support/agent-host.js';
import { submission } from '../domain/task-change.js';
import { EarlierTasks } from './earlier-tasks.js';
import { TaskMemory } from './task-memory.js';

const LIGHT = 'Euglena swims towards the light.';
const passage = (text: string, sourceId = 's1') => ({ sourceId, text });

describe("what a user's earlier tasks read", () => {
  let folder: AgentFolder;
  let host: AgentHost;
  beforeEach(() => {
    folder = agentFolder();
    host = new AgentHost(folder, null);
  });
  afterEach(async () => {
    await host.close();
    folder.remove();
  });
  const task = async (correlationId: string, owner: string | null, ...texts: string[]) => {
    const input = { correlationId, owner, mandate: 'Find out.', maxTicks: 3 };
    await host.store.commit(submission(input, host.clock.now(), false));
    await host.memory.remember(
      correlationId,
      texts.map((text) => passage(text)),
    );
    host.clock.advance(1);
  };
  /** What a run recalls. */
  const recalled = (correlationId: string, owner: string | null, need: string) => {
    const engines = { memory: host.memory, earlier: new EarlierTasks(host.memory, host.store) };
    return new TaskMemory(engines, { correlationId, owner }, false).recall(need);
  };
  const texts = async (id: string, owner: string | null) =>
    (await recalled(id, owner, 'light')).map(({ sourceId, text }) => `${sourceId} ${text}`);

  it("brings a task's own passages first, then those of earlier ones, which cannot be cited", async () => {
    await task('first', 'alice', 'There was light.');
    await task('second', 'alice', LIGHT);
    expect(await texts('second', 'alice')).toEqual([
      `s1 ${LIGHT}`,
      's0 (Read in an earlier task. It cannot be cited unless it is read again.)\nThere was light.',
    ]);
  });

  it("never brings another user's passages, nor those of tasks without one", async () => {
    await task('of-bob', 'bob', LIGHT);
    await task('of-nobody', null, LIGHT);
    await task('of-alice', 'alice');
    await task('of-nobody-too', null);
    expect(await texts('of-alice', 'alice')).toEqual([]);
    expect(await texts('of-nobody-too', null)).toEqual([]);
    expect(await texts('unknown', 'carol')).toEqual([]);
  });

  it('brings three of them at most, and none of tasks that were deleted', async () => {
    await task('first', 'alice', ...Array.from({ length: 5 }, (_, i) => `Light number ${i}.`));
    await task('second', 'alice');
    expect(await texts('second', 'alice')).toHaveLength(3);
    await host.memory.forget(['first']);
    expect(await texts('second', 'alice')).toEqual([]);
  });

  it('serves an agent only if RECALL_EARLIER_TASKS says so, and says where to read again', async () => {
    const run = async (id: string, environment: Record<string, string>) => {
      await host.submit(id);
      const worker = await host.startWorker({}, environment);
      const { result } = await host.ended(id);
      await host.stop(worker);
      return result;
    };
    const first = await run('task-1', {});
    expect(first?.sources[0]?.url).toBe('corpus:euglena.md');
    const second = await run('task-2', { RECALL_EARLIER_TASKS: 'true' });
    expect(second?.sources.map(({ id }) => id)).not.toContain('s0');
    expect(second?.answer).not.toContain('s0');
    const owner = (await host.store.find('task-2'))?.owner ?? null;
    expect((await recalled('task-2', owner, 'flagellum')).at(-1)?.text).toContain(
      'Read in an earlier task at corpus:euglena.md.',
    );
  });
});
