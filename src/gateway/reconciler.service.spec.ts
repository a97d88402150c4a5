import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { eventually } from '../../test/support/eventually.js';
import { type GatewayEngines, except, openGatewayEngines } from '../../test/support/gateway-engines.js';
import { readSettings } from '../config/settings.js';
import { EuglenaError } from '../domain/errors.js';
import { submission } from '../domain/task-change.js';
import { HttpCallbacks } from '../ports/callback/http-callbacks.js';
import { ReconcilerService } from './reconciler.service.js';

let engines: GatewayEngines;
beforeEach(() => {
  engines = openGatewayEngines();
});
afterEach(() => engines.close());

it('works in the background, outlives failures, and stops when asked', async () => {
  const { clock, store, quota } = engines;
  const input = { correlationId: 'lost', owner: null, mandate: 'Find X', maxTicks: 10 };
  await store.commit(submission(input, clock.now(), true));
  clock.advance(5_000);
  let failures = 0;
  const queue = except(engines.queue, {
    publish: (body) => {
      if (failures > 0) return engines.queue.publish(body);
      failures += 1;
      return Promise.reject(new EuglenaError('engine_unavailable', 'pulled the plug'));
    },
  });
  const callbacks = new HttpCallbacks({ master: null, userAgent: 'Euglena/test', clock });
  const service = new ReconcilerService(store, queue, quota, callbacks, clock, readSettings({}));
  service.onApplicationBootstrap();
  await eventually('the message is published after a failure', async () => {
    clock.advance(10_000);
    return (await engines.queue.depth()).ready === 1;
  });
  expect(failures).toBe(1);
  await service.beforeApplicationShutdown();
  await callbacks.close();
});
