import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type GatewayEngines, except, openGatewayEngines } from '../../test/support/gateway-engines.js';
import {
  type PageServer,
  PUBLIC_ADDRESS,
  startPageServer,
  TLS_NAME,
} from '../../test/support/page-server.js';
import { EuglenaError } from '../domain/errors.js';
import { cancellation, extension, submission } from '../domain/task-change.js';
import { HttpCallbacks } from '../ports/callback/http-callbacks.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';
import { CallbackReconciler } from './callback-reconciler.js';

const OWNER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const DAY_MS = 86_400_000;

let server: PageServer;
let status: number;
let received: { id: string; body: unknown }[];
beforeAll(async () => {
  server = await startPageServer();
  server.serve('/hook', (request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      received.push({ id: String(request.headers['webhook-id']), body: JSON.parse(body) });
      response.writeHead(status).end();
    });
  });
});
afterAll(() => server.close());

let engines: GatewayEngines;
let callbacks: HttpCallbacks;
beforeEach(() => {
  status = 200;
  received = [];
  engines = openGatewayEngines();
  callbacks = new HttpCallbacks({
    master: new TextEncoder().encode('a master secret of thirty-two characters'),
    userAgent: 'Euglena/test',
    clock: engines.clock,
    resolve: async () => [PUBLIC_ADDRESS],
    dial: server.dial,
  });
});
afterEach(async () => {
  await callbacks.close();
  await engines.close();
});

const reconciler = (store: TaskStore = engines.store) =>
  new CallbackReconciler(store, callbacks, engines.clock, () => 0);
async function ended(correlationId: string) {
  const { clock, store } = engines;
  const input = { correlationId, owner: OWNER, mandate: 'Find X', maxTicks: 10 };
  const created = submission({ ...input, callbackUrl: `https://${TLS_NAME}/hook` }, clock.now(), false);
  await store.commit(created);
  const end = cancellation(created.record, clock.now());
  await store.commit(end);
  return end.record;
}

describe('the callback reconciler', () => {
  it('tells an end once, with the task as its owner sees it, and notes that it was taken', async () => {
    const { head } = await ended('t-1');
    expect(await reconciler().tick()).toBe(1);
    expect(received).toMatchObject([
      {
        id: `t-1.${head.seq}`,
        body: { type: 'task.cancelled', data: { correlation_id: 't-1', status: 'cancelled' } },
      },
    ]);
    expect(JSON.stringify(received)).not.toContain(OWNER);
    expect((await engines.store.find('t-1'))?.callback).toMatchObject({ state: 'delivered', attempts: 1 });
    engines.clock.advance(DAY_MS);
    expect(await reconciler().tick()).toBe(0);
  });

  it('tries again later, with the same id, until the receiver takes it', async () => {
    status = 503;
    await ended('t-1');
    await reconciler().tick();
    expect(await reconciler().tick()).toBe(0);
    engines.clock.advance(5_000);
    status = 204;
    expect(await reconciler().tick()).toBe(1);
    expect(received.map(({ id }) => id)).toEqual([received[0]?.id, received[0]?.id]);
    expect((await engines.store.find('t-1'))?.callback).toMatchObject({ state: 'delivered', attempts: 2 });
  });

  it('gives up after eight attempts, visibly, and the end itself stays as it was', async () => {
    status = 500;
    const record = await ended('t-1');
    for (let hours = 0; hours < 48; hours += 1) {
      await reconciler().tick();
      engines.clock.advance(DAY_MS / 24);
    }
    expect(received).toHaveLength(8);
    const callback = { url: record.callback?.url, state: 'failed', attempts: 8 };
    expect(await engines.store.find('t-1')).toMatchObject({ ...record, callback });
  });

  it('leaves what a crash interrupted to the next one, who tells it again under the same id', async () => {
    await ended('t-1');
    const crashing = except(engines.store, {
      commit: () => Promise.reject(new EuglenaError('engine_unavailable', 'pulled the plug')),
    });
    await expect(reconciler(crashing).tick()).rejects.toThrow('pulled the plug');
    expect(await reconciler().tick()).toBe(0);
    engines.clock.advance(60_000);
    expect(await reconciler().tick()).toBe(1);
    expect(received.map(({ id }) => id)).toEqual([received[0]?.id, received[0]?.id]);
  });

  it('says nothing of an end that an extension took back, and tells the next one', async () => {
    const { clock, store } = engines;
    const input = { correlationId: 't-1', owner: OWNER, mandate: 'Find X', maxTicks: 10 };
    const created = submission({ ...input, callbackUrl: `https://${TLS_NAME}/hook` }, clock.now(), false);
    const failed = { ...created.record, status: 'error' as const, finishedAt: clock.now() };
    await store.commit({ ...created, record: failed, callsBack: true });
    const extended = extension(failed, { ticks: 5, reservation: 't-1:x' }, clock.now());
    await store.commit(extended);
    expect(await reconciler().tick()).toBe(1);
    expect(received).toEqual([]);
    await store.commit(cancellation(extended.record, clock.now()));
    await reconciler().tick();
    expect(received).toHaveLength(1);
  });

  it('shares the work with other gateways: each end is told by one of them', async () => {
    for (let number = 0; number < 20; number += 1) await ended(`t-${number}`);
    await Promise.all([reconciler().tick(), reconciler().tick(), reconciler().tick()]);
    expect(new Set(received.map(({ id }) => id)).size).toBe(20);
    expect(received).toHaveLength(20);
  });
});
