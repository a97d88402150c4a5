/** What the engines hold, read with their own clients: what is still to be done, and what stays when all is done. */
import { join } from 'node:path';
import amqp from 'amqplib';
import { Redis } from 'ioredis';
import Database from 'libsql';

const { fetch, Buffer, URL } = globalThis;

/** Work that waits somewhere, by place; nothing but zeros once everything is done. */
export async function workLeft({ redis, queues, ledger }) {
  const [outbox, settlements, messages] = await Promise.all([
    redis.hlen('tasks:outbox:body'),
    redis.hlen('tasks:settlements:body'),
    queues(),
  ]);
  const { working, parked, dead } = messages;
  const unsettled = ledger().filter(({ settled }) => settled === null).length;
  return { outbox, settlements, queued: working, parked, dead, unsettled };
}

/** The engines as an auditor sees them. `close` ends the connections. */
export function openEngines({ REDIS_URL, RABBITMQ_URL, RABBITMQ_MANAGEMENT_URL, QUEUE_NAME }, dataDir) {
  const redis = new Redis(REDIS_URL, { maxRetriesPerRequest: 3 });
  redis.on('error', () => {});
  return {
    redis,
    redisUrl: REDIS_URL,
    queues: () => countMessages(RABBITMQ_URL, RABBITMQ_MANAGEMENT_URL, QUEUE_NAME),
    ledger: () => readLedger(dataDir),
    close: () => redis.disconnect(),
  };
}

/** Messages in the queue of work (in hand ones included where management tells), its parked ones, and dead letters. */
async function countMessages(url, managementUrl, name) {
  const connection = await amqp.connect(url);
  try {
    const channel = await connection.createChannel();
    const { messageCount: ready } = await channel.checkQueue(name);
    const { messageCount: dead } = await channel.checkQueue(`${name}.dead`);
    if (!managementUrl) return { working: ready, parked: null, dead };
    const queues = await managedQueues(managementUrl);
    const inHand = queues.find((queue) => queue.name === name)?.messages_unacknowledged ?? 0;
    let parked = 0;
    for (const queue of queues.filter((queue) => queue.name.startsWith(`${name}.parked.`))) {
      parked += await messagesIn(connection, queue.name);
    }
    return { working: ready + inHand, parked, dead };
  } finally {
    await connection.close();
  }
}

/** On a channel of its own: asking for a queue that has just expired closes the channel. */
async function messagesIn(connection, queue) {
  const channel = await connection.createChannel();
  channel.on('error', () => {});
  try {
    const { messageCount } = await channel.checkQueue(queue);
    await channel.close();
    return messageCount;
  } catch {
    return 0;
  }
}

async function managedQueues(managementUrl) {
  const { username, password, origin } = new URL(managementUrl);
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const response = await fetch(`${origin}/api/queues`, { headers: { authorization } });
  if (!response.ok) throw new Error(`the management API answered ${response.status}`);
  return response.json();
}

/** The reservations of the quota, which the gateways share. */
function readLedger(dataDir) {
  const database = new Database(join(dataDir, 'euglena.db'), { timeout: 5_000 });
  try {
    return database
      .prepare('SELECT correlation_id AS id, owner, day, reserved, settled FROM quota_ledger')
      .all();
  } finally {
    database.close();
  }
}

/** Every key that is there for no known reason, of a Redis that nobody else uses. */
export async function strayKeys(redis, { users, ids, workers }) {
  const known = new Set(['tasks:finished', 'workers:status']);
  for (const user of users) known.add(`tasks:user:${user}`);
  for (const worker of workers) known.add(`worker:agent:${worker}`);
  for (const id of ids) {
    for (const part of ['', ':journal', ':lease']) known.add(`task:${id}${part}`);
  }
  const stray = [];
  for await (const keys of redis.scanStream({ count: 1_000 })) {
    stray.push(...keys.filter((key) => !known.has(key)));
  }
  return [...new Set(stray)];
}

/** Ids of tasks whose lease still runs. */
export async function liveLeases(redis, ids) {
  const live = [];
  for (let at = 0; at < ids.length; at += 500) {
    const some = ids.slice(at, at + 500);
    const pipeline = redis.pipeline();
    for (const id of some) pipeline.hget(`task:${id}:lease`, 'expires_at');
    const answers = await pipeline.exec();
    live.push(...some.filter((_, index) => Number(answers[index][1] ?? 0) > Date.now()));
  }
  return live;
}
