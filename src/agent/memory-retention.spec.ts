import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type AgentFolder, agentFolder, AgentHost } from '../../test/support/agent-host.js';
import { cancellation } from '../domain/task-change.js';
import { EuglenaError } from '../domain/errors.js';
import { type AgentMemory } from '../ports/agent-memory/agent-memory.port.js';
import { MemoryRetention } from './memory-retention.js';

const PASSAGE = { sourceId: 's1', text: 'Euglena swims towards the light.' };

describe('the retention of memory', () => {
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
  const retention = (memory: AgentMemory = host.memory) =>
    new MemoryRetention(host.store, memory, host.clock);
  const remembers = async (id: string) => (await host.memory.recall(id, 'light', 5)).length > 0;
  const end = async (id: string) => {
    const record = await host.submit(id, 5, false);
    await host.memory.remember(id, [PASSAGE]);
    await host.store.commit(cancellation(record, host.clock.now()));
  };
  const purge = async () => {
    host.clock.advance(1);
    await host.store.purge(host.clock.now(), 1_000);
  };
  /** The engine's own methods, one of them broken. */
  const broken = (): AgentMemory =>
    Object.assign(Object.create(host.memory) as AgentMemory, {
      forget: () => Promise.reject(new EuglenaError('engine_unavailable', 'the memory is away')),
    });

  it('deletes the memory of purged tasks, and of no other', async () => {
    await end('old');
    await purge();
    await end('ended');
    await host.submit('waiting', 5, false);
    await host.memory.remember('waiting', [PASSAGE]);
    expect(await retention().sweep()).toBe(1);
    expect(await Promise.all(['old', 'ended', 'waiting'].map(remembers))).toEqual([false, true, true]);
    expect(await retention().sweep()).toBe(0);
  });

  it('shares many among several agents', async () => {
    const ids = Array.from({ length: 250 }, (_, i) => `task-${i}`);
    for (const id of ids) await end(id);
    await purge();
    const swept = await Promise.all([retention().sweep(), retention().sweep(), retention().sweep()]);
    expect(swept.reduce((sum, count) => sum + count)).toBe(250);
    expect((await Promise.all(ids.map(remembers))).some(Boolean)).toBe(false);
  });

  it('is tried again, by whoever comes, when the memory was away', async () => {
    await end('old');
    await purge();
    await expect(retention(broken()).sweep()).rejects.toThrow('the memory is away');
    expect(await retention().sweep()).toBe(0);
    host.clock.advance(60_000);
    expect(await retention().sweep()).toBe(1);
    expect(await remembers('old')).toBe(false);
  });

  it('spares a new task that took the id', async () => {
    await end('again');
    await purge();
    await host.submit('again', 5, false);
    expect(await retention().sweep()).toBe(1);
    expect(await remembers('again')).toBe(true);
  });

  it('goes on every minute from start to stop, through failures', async () => {
    await end('old');
    await purge();
    const failing = retention(broken());
    const working = retention();
    failing.onApplicationBootstrap();
    working.onApplicationBootstrap();
    await host.until('the memory is gone', async () => !(await remembers('old')), 10_000);
    await failing.beforeApplicationShutdown();
    await working.beforeApplicationShutdown();
    await end('late');
    await purge();
    host.clock.advance(600_000);
    expect(await host.store.takePurged({ limit: 9, holdMs: 1 })).toHaveLength(1);
  });
});
