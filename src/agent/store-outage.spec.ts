import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type AgentFolder, agentFolder, AgentHost } from '../../test/support/agent-host.js';
import { except } from '../../test/support/gateway-engines.js';
import { EuglenaError } from '../domain/errors.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';

const HALF_HOUR_MS = 1_800_000;

/** A worker whose store is sound, save while it is `away`, or only claims `fail`. */
describe('a worker without its task store', () => {
  let folder: AgentFolder;
  let host: AgentHost;
  let store: TaskStore;
  const trouble = { away: false, fail: false };
  const counts = { claims: 0, pings: 0 };
  beforeEach(() => {
    folder = agentFolder();
    host = new AgentHost(folder, null);
    Object.assign(trouble, { away: false, fail: false });
    Object.assign(counts, { claims: 0, pings: 0 });
    const serve = (fails: boolean) => {
      if (fails) throw new EuglenaError('engine_unavailable', 'pulled the plug');
    };
    store = except<TaskStore>(host.store, {
      claim: async (...asking) => {
        counts.claims += 1;
        serve(trouble.away || trouble.fail);
        return host.store.claim(...asking);
      },
      commit: async (change) => {
        serve(trouble.away);
        return host.store.commit(change);
      },
      ping: async () => {
        counts.pings += 1;
        serve(trouble.away);
      },
    });
  });
  afterEach(async () => {
    trouble.away = false;
    await host.close();
    folder.remove();
  });
  const depth = () => host.queue.depth();

  it('takes no message before the store serves, and begins by itself then', async () => {
    trouble.away = true;
    await host.startWorker({ store });
    await host.submit('t1');
    await host.until('it has asked often', () => counts.pings >= 5, 1_000);
    expect(counts.claims).toBe(0);
    expect(await depth()).toMatchObject({ ready: 1, inFlight: 0 });
    trouble.away = false;
    await host.until('the task ends', async () => (await host.store.find('t1'))?.finishedAt, 100);
  });

  it('works on after an outage of half an hour, for which no message is blamed', async () => {
    await host.startWorker({ store });
    trouble.away = true;
    await host.submit('t1');
    const since = host.clock.now();
    await host.until('half an hour later', () => host.clock.now() - since > HALF_HOUR_MS, 10_000);
    expect(await depth()).toMatchObject({ dead: 0 });
    trouble.away = false;
    expect(await host.ended('t1', 1_000)).toMatchObject({ status: 'completed' });
    expect(await depth()).toMatchObject({ ready: 0, dead: 0 });
  });

  it('asks the store less and less often, and hands the message back after half a minute', async () => {
    await host.startWorker({ store });
    trouble.away = true;
    await host.submit('t1');
    await host.until('the claim fails', () => counts.claims === 1);
    const pings = counts.pings;
    const since = host.clock.now();
    await host.until('the message is back', async () => (await depth()).ready === 1, 100);
    expect(host.clock.now() - since).toBeGreaterThan(25_000);
    expect(host.clock.now() - since).toBeLessThan(32_000);
    expect(counts.pings - pings).toBeLessThan(14);
    expect(counts.claims).toBe(1);
  });

  it('hands a message in hand back at once when it stops', async () => {
    const worker = await host.startWorker({ store });
    trouble.away = true;
    await host.submit('t1');
    await host.until('the claim fails', () => counts.claims === 1);
    const since = host.clock.now();
    let stopped = false;
    void worker.beforeApplicationShutdown().then(() => (stopped = true));
    await host.until('it stops', () => stopped);
    expect(host.clock.now() - since).toBeLessThan(2_000);
    expect(await depth()).toMatchObject({ ready: 1, inFlight: 0, dead: 0 });
  });

  it('stops at once when it has not begun', async () => {
    trouble.away = true;
    const worker = await host.startWorker({ store });
    await worker.beforeApplicationShutdown();
    const { pings } = counts;
    host.clock.advance(10_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(counts.pings).toBe(pings);
  });

  it('blames a message whose claim fails although the store serves', async () => {
    trouble.fail = true;
    await host.startWorker({ store });
    await host.submit('t1');
    await host.until('it is given up', async () => (await depth()).dead === 1, 10_000);
    expect(counts.claims).toBe(20);
  });
});
