import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type GatewayEngines, except, openGatewayEngines } from '../../test/support/gateway-engines.js';
import { readEnvelope } from '../domain/envelope.js';
import { EuglenaError } from '../domain/errors.js';
import { cancellation, submission } from '../domain/task-change.js';
import {
  OutboxReconciler,
  ReservationReconciler,
  RetentionReconciler,
  SettlementReconciler,
} from './reconcilers.js';

const OWNER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const unavailable = () => new EuglenaError('engine_unavailable', 'pulled the plug');

let engines: GatewayEngines;
beforeEach(() => {
  engines = openGatewayEngines();
});
afterEach(() => engines.close());

async function stored(correlationId: string) {
  const input = { correlationId, owner: OWNER, mandate: 'Find X', maxTicks: 10 };
  const change = submission(input, engines.clock.now(), true);
  await engines.store.commit(change);
  return change.record;
}

async function cancelled(correlationId: string) {
  const record = await stored(correlationId);
  await engines.store.commit(cancellation(record, engines.clock.now()));
}

async function queued(): Promise<string[]> {
  const ids: string[] = [];
  const { ready } = await engines.queue.depth();
  if (ready === 0) return ids;
  await new Promise<void>((resolve) => {
    void engines.queue.consume(async (delivery) => {
      const reading = readEnvelope(delivery.body);
      if (reading.kind === 'envelope') ids.push(reading.envelope.correlationId);
      await delivery.ack();
      if (ids.length === ready) resolve();
    }, 1);
  });
  return ids;
}

describe('the outbox reconciler', () => {
  it('publishes what has waited for five seconds, once, and clears it', async () => {
    await stored('old');
    engines.clock.advance(5_000);
    await stored('new');
    const reconciler = new OutboxReconciler(engines.store, engines.queue);
    expect(await reconciler.tick()).toBe(1);
    engines.clock.advance(31_000);
    expect(await reconciler.tick()).toBe(1);
    expect(await reconciler.tick()).toBe(0);
    expect(await queued()).toEqual(['old', 'new']);
  });

  it('does so once when several gateways look at once', async () => {
    for (let index = 0; index < 150; index += 1) await stored(`task-${index}`);
    engines.clock.advance(5_000);
    const gateways = [1, 2, 3].map(() => new OutboxReconciler(engines.store, engines.queue).tick());
    const counts = await Promise.all(gateways);
    expect(counts.reduce((sum, count) => sum + count)).toBe(150);
    expect((await engines.queue.depth()).ready).toBe(150);
  });

  it('keeps what could not be published, and says that it must try again', async () => {
    await stored('good');
    await stored('bad');
    engines.clock.advance(5_000);
    const queue = except(engines.queue, {
      publish: (body) =>
        body.includes('"bad"') ? Promise.reject(unavailable()) : engines.queue.publish(body),
    });
    await expect(new OutboxReconciler(engines.store, queue).tick()).rejects.toThrow('pulled the plug');
    engines.clock.advance(30_000);
    expect(await new OutboxReconciler(engines.store, engines.queue).tick()).toBe(1);
    expect(await queued()).toEqual(['good', 'bad']);
  });
});

describe('the outbox reconciler after an outage of the store', () => {
  it('leaves refused submissions a turn in which they are withdrawn', async () => {
    await stored('accepted');
    await stored('refused');
    engines.clock.advance(5_000);
    let isAway = true;
    const store = except(engines.store, {
      takeOutbox: (options) => (isAway ? Promise.reject(unavailable()) : engines.store.takeOutbox(options)),
      ping: () => (isAway ? Promise.reject(unavailable()) : engines.store.ping()),
    });
    const reconciler = new OutboxReconciler(store, engines.queue);
    await expect(reconciler.tick()).rejects.toThrow('pulled the plug');
    await expect(reconciler.tick()).rejects.toThrow('pulled the plug');
    isAway = false;
    expect(await reconciler.tick()).toBe(0);
    expect(await engines.store.withdraw('refused')).toBe(true);
    expect(await reconciler.tick()).toBe(1);
    expect(await queued()).toEqual(['accepted']);
  });
});

describe('the settlement reconciler', () => {
  it('tells the quota what ended tasks have used, and goes on after a failure', async () => {
    await engines.quota.reserve(OWNER, 'done', 10);
    await cancelled('done');
    const quota = except(engines.quota, { settle: () => Promise.reject(unavailable()) });
    await expect(new SettlementReconciler(engines.store, quota).tick()).rejects.toThrow('pulled the plug');
    expect((await engines.quota.usage(OWNER)).used).toBe(10);
    engines.clock.advance(30_000);
    const reconciler = new SettlementReconciler(engines.store, engines.quota);
    expect(await reconciler.tick()).toBe(1);
    expect((await engines.quota.usage(OWNER)).used).toBe(0);
    engines.clock.advance(30_000);
    expect(await reconciler.tick()).toBe(0);
  });
});

describe('the reservation reconciler', () => {
  it('settles reservations without a task and of ended tasks, and leaves those of live ones', async () => {
    await engines.quota.reserve(OWNER, 'never-stored', 10);
    await engines.quota.reserve(OWNER, 'live', 20);
    await engines.quota.reserve(OWNER, 'ended', 40);
    await stored('live');
    await cancelled('ended');
    const reconciler = new ReservationReconciler(engines.store, engines.quota);
    engines.clock.advance(44_999);
    expect(await reconciler.tick()).toBe(0);
    engines.clock.advance(1);
    expect(await reconciler.tick()).toBe(2);
    expect(reconciler.everyMs + 45_000).toBeLessThanOrEqual(60_000);
    expect((await engines.quota.usage(OWNER)).used).toBe(20);
  });
});

describe('the retention reconciler', () => {
  it('removes tasks that ended longer ago than tasks are kept, however many', async () => {
    for (let index = 0; index < 130; index += 1) await cancelled(`old-${index}`);
    engines.clock.advance(86_400_000);
    await cancelled('recent');
    await stored('live');
    const reconciler = new RetentionReconciler(engines.store, engines.clock, 1);
    engines.clock.advance(1);
    expect(await reconciler.tick()).toBe(130);
    const left = (await engines.store.list(OWNER, { limit: 100 })).tasks;
    expect(left.map(({ correlationId }) => correlationId).sort()).toEqual(['live', 'recent']);
  });
});
