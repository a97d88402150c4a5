import { randomUUID } from 'node:crypto';
import { type ConfirmChannel, connect } from 'amqplib';
import { type Role } from '../../../src/config/known-settings.js';
import { type EuglenaApi } from '../../support/euglena-api.js';
import { type EuglenaProcess } from '../../support/euglena-process.js';
import { type ModelAnswer } from '../../support/model-server.js';
import { type PrivateRabbitMqServer, startPrivateRabbitMq } from '../../support/servers/rabbitmq-server.js';
import { type PrivateRedisServer, startPrivateRedis } from '../../support/servers/redis-server.js';
import { openStage, type Question, type Stage, thinker } from '../../support/stage.js';
import { audit, type AuditOptions } from './audit.js';

export const STARTING_MS = 120_000;
const QUEUE = 'faults';

/** The engines of one file of faults, which it may harm, and a stage on them with one gateway. */
export interface Engines {
  readonly redis: PrivateRedisServer;
  readonly rabbitmq: PrivateRabbitMqServer;
  readonly stage: Stage;
  readonly queue: string;
  readonly gateway: EuglenaProcess;
  /** What the model says from now on; at first EXIT at once. */
  say(script: (question: Question) => ModelAnswer): void;
  /** Another process on these engines. */
  start(role: Role, env?: Readonly<Record<string, string>>): Promise<EuglenaProcess>;
  /** The API as a user sees it who has done nothing yet. */
  newUser(gateway?: EuglenaProcess): Promise<EuglenaApi>;
  /** What another AMQP client does. */
  onChannel<T>(work: (channel: ConfirmChannel) => Promise<T>): Promise<T>;
  /** Publishes to the queue of work as another AMQP client. */
  publish(...bodies: readonly (Buffer | object)[]): Promise<void>;
  /** Takes the dead letters away; answers why each was one. */
  takeDeadLetters(): Promise<string[]>;
  audit(options: Pick<AuditOptions, 'api' | 'ids'> & Partial<AuditOptions>): Promise<void>;
  /** Ends every process but the gateway. */
  endOthers(): Promise<void>;
  close(): Promise<void>;
}

/** Servers of its own: what is harmed cannot be somebody else's. `configuration`: lines of `rabbitmq.conf`. */
export async function openEngines(...configuration: string[]): Promise<Engines> {
  const [redis, rabbitmq] = await Promise.all([startPrivateRedis(), startPrivateRabbitMq(...configuration)]);
  const stopServers = () => Promise.all([redis.stop(), rabbitmq.stop()]);
  try {
    const engines = await openStageOn(redis, rabbitmq);
    const close = async () => {
      await engines.stage.close();
      await stopServers();
    };
    return { ...engines, close };
  } catch (error) {
    await stopServers();
    throw error;
  }
}

async function openStageOn(
  redis: PrivateRedisServer,
  rabbitmq: PrivateRabbitMqServer,
): Promise<Omit<Engines, 'close'>> {
  let script: (question: Question) => ModelAnswer = thinker(1);
  const stage = await openStage((question) => script(question));
  const others: EuglenaProcess[] = [];
  const launch = (role: Role, env: Readonly<Record<string, string>> = {}) =>
    stage.start(role, { REDIS_URL: redis.url, RABBITMQ_URL: rabbitmq.url, QUEUE_NAME: QUEUE, ...env });
  const gateway = await launch('gateway');
  return {
    redis,
    rabbitmq,
    stage,
    queue: QUEUE,
    gateway,
    ...foreignClient(rabbitmq.url),
    say: (said) => void (script = said),
    start: async (role, env) => {
      const started = await launch(role, env);
      others.push(started);
      return started;
    },
    newUser: (from = gateway) => stage.api(from, randomUUID()),
    audit: (options) =>
      audit({ redisUrl: redis.url, managementUrl: rabbitmq.managementUrl, queue: QUEUE, ...options }),
    endOthers: async () => {
      await Promise.all(others.splice(0).map((one) => one.kill('SIGKILL')));
    },
  };
}

function foreignClient(url: string): Pick<Engines, 'onChannel' | 'publish' | 'takeDeadLetters'> {
  const onChannel: Engines['onChannel'] = async (work) => {
    const connection = await connect(url);
    try {
      return await work(await connection.createConfirmChannel());
    } finally {
      await connection.close();
    }
  };
  return {
    onChannel,
    publish: (...bodies) =>
      onChannel(async (channel) => {
        for (const body of bodies) {
          channel.sendToQueue(QUEUE, Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)));
        }
        await channel.waitForConfirms();
      }),
    takeDeadLetters: () =>
      onChannel(async (channel) => {
        const reasons: string[] = [];
        for (;;) {
          const letter = await channel.get(`${QUEUE}.dead`, { noAck: true });
          if (letter === false) return reasons;
          reasons.push(String(letter.properties.headers?.['x-euglena-reason']));
        }
      }),
  };
}
