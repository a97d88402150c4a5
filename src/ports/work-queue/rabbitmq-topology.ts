import { type Channel, type MessagePropertyHeaders, type Options } from 'amqplib';
import { BrokerRefusal, type RabbitConnection } from './rabbitmq-connection.js';

/** Deliveries of a message before it was published again, carried from copy to copy. */
export const DELIVERIES_HEADER = 'x-euglena-deliveries';
/** Failed deliveries among them. */
export const FAILURES_HEADER = 'x-euglena-failures';
/** Why a dead letter is one. */
export const REASON_HEADER = 'x-euglena-reason';
/** Since when, in epoch milliseconds. */
export const DEAD_AT_HEADER = 'x-euglena-dead-at';

/**
 * The broker deletes a parking queue that nobody declared for its messages' time and this long, in ms. It does so even when
 * it was away itself, before it moves the messages on: so this must be longer than any outage.
 */
const IDLE_MS = 7 * 86_400_000;
/** RabbitMQ's longest times are 32-bit milliseconds: 49 days, `IDLE_MS` included. */
const DELAY_MAX_MS = 3_000_000_000;
const DELAY_MIN_MS = 10;
const DELAY_STEPS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];
/** Quorum queues of RabbitMQ 4 drop a message after 20 returns unless told otherwise, and reading dead letters returns them. */
const NO_DELIVERY_LIMIT = 1_000_000_000;
/** What the broker writes itself. Kept on a copy, it would count twice or look like a dead-letter loop. */
const BROKER_HEADER = /^x-(death|first-death-|last-death-|delivery-count|acquired-count|opt-)/;

export interface ParkingQueue {
  readonly name: string;
  /** How long a message stays in it, in ms. */
  readonly ttlMs: number;
  readonly options: Options.AssertQueue;
}

export const deadQueueOf = (queueName: string) => `${queueName}.dead`;
export const parkingPrefixOf = (queueName: string) => `${queueName}.parked.`;

/**
 * Declares the queue of work and its dead-letter queue, which changes nothing when they exist.
 * @throws BrokerRefusal when they exist with other arguments, or may not be declared.
 */
export function declareQueues(
  connection: RabbitConnection,
  queueName: string,
  deliveryLimit: number,
): Promise<void> {
  return connection.run('declare the queues', async (channel) => {
    try {
      await declareTopology(channel, queueName, deliveryLimit);
    } catch (error) {
      throw refusalOf(error, queueName);
    }
  });
}

async function declareTopology(channel: Channel, queueName: string, deliveryLimit: number): Promise<void> {
  await channel.assertQueue(deadQueueOf(queueName), {
    durable: true,
    arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': NO_DELIVERY_LIMIT },
  });
  await channel.assertQueue(queueName, {
    durable: true,
    arguments: {
      'x-queue-type': 'quorum',
      'x-delivery-limit': deliveryLimit,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': deadQueueOf(queueName),
    },
  });
}

function refusalOf(error: unknown, queueName: string): unknown {
  const text = error instanceof Error ? error.message : '';
  if (text.includes('PRECONDITION')) {
    const [, argument = 'one of them'] = /inequivalent arg '([^']+)'/.exec(text) ?? [];
    return new BrokerRefusal(
      `The queue "${queueName}" (or its ".dead") exists on the broker with other arguments (${argument}): ` +
        'delete it when it is empty, or choose another QUEUE_NAME.',
    );
  }
  if (text.includes('ACCESS')) {
    return new BrokerRefusal(`The user of RABBITMQ_URL may not declare the queue "${queueName}".`);
  }
  return error;
}

/**
 * The queue in which a message waits for `delayMs`, rounded up (by half at most): one time to live for a whole queue, since
 * RabbitMQ expires messages at a queue's head only. Declaring it renews its own life.
 */
export function parkingQueue(queueName: string, delayMs: number): ParkingQueue {
  const ttl = roundedDelay(delayMs);
  return {
    name: `${parkingPrefixOf(queueName)}${ttl}`,
    ttlMs: ttl,
    options: {
      durable: true,
      arguments: {
        'x-queue-type': 'quorum',
        'x-message-ttl': ttl,
        'x-expires': ttl + IDLE_MS,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': queueName,
        // Without these two, a message may be lost between the queues: RabbitMQ moves it without waiting for a confirm.
        'x-dead-letter-strategy': 'at-least-once',
        'x-overflow': 'reject-publish',
      },
    },
  };
}

export function roundedDelay(delayMs: number): number {
  const wanted = Math.min(Math.max(Math.ceil(delayMs), DELAY_MIN_MS), DELAY_MAX_MS);
  const magnitude = 10 ** Math.floor(Math.log10(wanted));
  return magnitude * (DELAY_STEPS.find((step) => step * magnitude >= wanted) ?? 10);
}

export function ownHeaders(headers: MessagePropertyHeaders = {}): MessagePropertyHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !BROKER_HEADER.test(name)));
}

/** A header that holds a count; 0 when it is missing, as on a message of another client. */
export function countIn(headers: MessagePropertyHeaders | undefined, name: string): number {
  const value: unknown = headers?.[name];
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}
