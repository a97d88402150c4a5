import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type GatewayEngines, openGatewayEngines } from '../../test/support/gateway-engines.js';
import { cancellation, submission } from '../domain/task-change.js';
import { StalledReconciler } from './stalled-reconciler.js';

let engines: GatewayEngines;
let reconciler: StalledReconciler;
beforeEach(() => {
  engines = openGatewayEngines();
  reconciler = new StalledReconciler(engines.store, engines.queue);
});
afterEach(() => engines.close());

/** A task that is stored and has no message. */
async function stored(correlationId: string) {
  const { clock, store } = engines;
  const input = { correlationId, owner: 'alice', mandate: 'Find X', maxTicks: 10 };
  const change = submission(input, clock.now(), false);
  await store.commit(change);
  return change;
}
const ready = async () => (await engines.queue.depth()).ready;

describe('the reconciler of stalled tasks', () => {
  it('queues a task again that has no message, once it was found twice', async () => {
    await stored('lost');
    engines.clock.advance(60_000);
    expect([await reconciler.tick(), await ready()]).toEqual([0, 0]);
    expect([await reconciler.tick(), await ready()]).toEqual([1, 1]);
    expect([await reconciler.tick(), await ready()]).toEqual([0, 1]);
  });

  it('leaves alone what is young, runs, has ended, or may be in the queue', async () => {
    const { clock, store, queue } = engines;
    const creation = await stored('runs');
    const ended = await stored('ended');
    await store.commit(cancellation(ended.record, clock.now()));
    clock.advance(60_000);
    await store.claim(creation, 'agent-1', 30_000);
    await stored('young');
    await reconciler.tick();
    expect([await reconciler.tick(), await ready()]).toEqual([0, 0]);
    await queue.publish(Buffer.from('{}'));
    clock.advance(60_000);
    await reconciler.tick();
    expect([await reconciler.tick(), await ready()]).toEqual([0, 1]);
  });
});
