import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { systemClock } from '../../src/config/system-clock.js';
import { RabbitMqWorkQueue } from '../../src/ports/work-queue/rabbitmq-work-queue.js';
import { eventually } from '../support/eventually.js';
import { type PrivateRabbitMqServer, startPrivateRabbitMq } from '../support/servers/rabbitmq-server.js';
import { gate } from './work-queue.harness.js';

const STARTING_MS = 90_000;

let server: PrivateRabbitMqServer;
beforeAll(async () => {
  server = await startPrivateRabbitMq();
}, STARTING_MS);
afterAll(() => server.stop());

// Not portable: the broker writes down that a queue exists after it confirmed the queue's first messages.
it('loses no message that was the first in its parking queue when the broker was killed', async () => {
  const queueName = `euglena.test.${randomUUID()}`;
  const queue = new RabbitMqWorkQueue(systemClock, { url: server.url, managementUrl: null, queueName });
  try {
    await queue.ready();
    await queue.publish(Buffer.from('deferred'));
    const deferred = gate();
    const received: number[] = [];
    await queue.consume(async (delivery) => {
      received.push(delivery.deliveries);
      if (received.length > 1) return delivery.ack();
      await delivery.defer(3_000);
      deferred.open();
    }, 1);
    await deferred.opened;
    server.kill();
    await server.restart();
    await eventually('the message comes back', () => received.length > 1, 30_000);
    // At least once: the broker may not have heard that the first copy was done.
    expect(new Set(received)).toEqual(new Set([1, 2]));
  } finally {
    await queue.close();
  }
}, 120_000);
