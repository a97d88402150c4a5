/** Empties the engines of a benchmark between two tests. Never run it against engines that anybody else uses. */
import process from 'node:process';
import amqp from 'amqplib';
import { Redis } from 'ioredis';

const { REDIS_URL, RABBITMQ_URL } = process.env;

const redis = new Redis(REDIS_URL);
await redis.flushdb();
redis.disconnect();
const connection = await amqp.connect(RABBITMQ_URL);
const channel = await connection.createChannel();
for (const queue of ['agent.mandates', 'agent.mandates.dead']) await channel.deleteQueue(queue);
await connection.close();
