import { readFileSync } from 'node:fs';
import { Duration } from 'aws-cdk-lib/core';
import { type ContainerDefinitionOptions, ContainerImage, type HealthCheck } from 'aws-cdk-lib/aws-ecs';
import { type Engine } from './file-storage.js';
import { PORTS } from './names.js';
import { PROJECT_FOLDER } from './project-folder.js';

/** Shares of the gateway's task: CPU units and MiB. */
export const ENGINE_SIZES: Readonly<Record<Engine, { readonly cpu: number; readonly memoryMiB: number }>> = {
  // Twice the maxmemory of deploy/redis.conf, because a rewrite of its file forks the process.
  redis: { cpu: 384, memoryMiB: 2_048 },
  rabbitmq: { cpu: 512, memoryMiB: 2_048 },
  chroma: { cpu: 384, memoryMiB: 2_048 },
};

/** Where an engine keeps its data, so that they outlive the task. */
export const DATA_FOLDERS: Readonly<Record<Engine, string>> = {
  redis: '/data',
  rabbitmq: '/var/lib/rabbitmq',
  chroma: '/data',
};

type EngineContainer = Pick<
  ContainerDefinitionOptions,
  'image' | 'entryPoint' | 'command' | 'environment' | 'healthCheck' | 'stopTimeout'
> & { readonly image: ContainerImage };

const configuration = (name: string) => readFileSync(new URL(`deploy/${name}`, PROJECT_FOLDER), 'utf8');
const settingsOf = (text: string) => text.split('\n').filter((line) => /^[a-z]/.test(line));

/** Engines get time to read their data; the checks are those of docker-compose.yml. */
const check = (command: string[]): HealthCheck => ({
  command,
  interval: Duration.seconds(5),
  timeout: Duration.seconds(3),
  retries: 6,
  startPeriod: Duration.seconds(120),
});

/** Nothing can be mounted from outside, so each engine is told its settings and writes them where it reads them. */
function redis(): EngineContainer {
  const ownSettings = [
    `dir ${DATA_FOLDERS.redis}`,
    // Agents come from other hosts. Its group lets nobody else in.
    'protected-mode no',
  ];
  return {
    image: ContainerImage.fromRegistry('public.ecr.aws/docker/library/redis:8.2.4'),
    entryPoint: ['sh', '-c'],
    command: [
      `printf '%s\\n' "$EUGLENA_REDIS_CONF" > /tmp/redis.conf && exec docker-entrypoint.sh redis-server /tmp/redis.conf`,
    ],
    environment: {
      EUGLENA_REDIS_CONF: [...settingsOf(configuration('redis.conf')), ...ownSettings].join('\n'),
    },
    healthCheck: check(['CMD-SHELL', 'redis-cli ping | grep -q PONG']),
    stopTimeout: Duration.seconds(60),
  };
}

/** The image refuses to start with a cookie in a variable, so the cookie goes into its file, which only its user reads. */
const START_RABBITMQ = [
  `printf '%s\\n' "$EUGLENA_RABBITMQ_CONF" > /etc/rabbitmq/conf.d/20-euglena.conf`,
  `cookie=${DATA_FOLDERS.rabbitmq}/.erlang.cookie`,
  `if [ -n "$RABBITMQ_ERLANG_COOKIE" ]; then rm -f "$cookie" && (umask 177 && printf '%s' "$RABBITMQ_ERLANG_COOKIE" > "$cookie"); fi`,
  'unset RABBITMQ_ERLANG_COOKIE',
  'exec docker-entrypoint.sh rabbitmq-server',
].join(' && ');

function rabbitmq(): EngineContainer {
  const ownSettings = [
    // Agents come from other hosts. Its group lets nobody else in.
    'loopback_users = none',
    `total_memory_available_override_value = ${ENGINE_SIZES.rabbitmq.memoryMiB}MB`,
  ];
  return {
    image: ContainerImage.fromRegistry('public.ecr.aws/docker/library/rabbitmq:4.2.8-management'),
    entryPoint: ['bash', '-c'],
    command: [START_RABBITMQ],
    environment: {
      // Its data belong to the node of this name. The name of a task's host changes with every task.
      RABBITMQ_NODENAME: 'rabbit@localhost',
      EUGLENA_RABBITMQ_CONF: [...settingsOf(configuration('rabbitmq.conf')), ...ownSettings].join('\n'),
    },
    healthCheck: check(['CMD', 'bash', '-c', '</dev/tcp/127.0.0.1/5672 && </dev/tcp/127.0.0.1/15672']),
    stopTimeout: Duration.seconds(120),
  };
}

function chroma(): EngineContainer {
  const ask = String.raw`printf 'GET /api/v2/heartbeat HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3`;
  return {
    image: ContainerImage.fromRegistry('chromadb/chroma:1.5.9'),
    healthCheck: check([
      'CMD',
      'bash',
      '-c',
      `exec 3<>/dev/tcp/127.0.0.1/${PORTS.chroma} && ${ask} && grep -q heartbeat <&3`,
    ]),
    stopTimeout: Duration.seconds(30),
  };
}

/** The engines as docker-compose.yml runs them; a test holds images, settings and health checks together. */
export const ENGINES: Readonly<Record<Engine, () => EngineContainer>> = { redis, rabbitmq, chroma };
