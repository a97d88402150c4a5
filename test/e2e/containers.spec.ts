import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import {
  type ComposeService,
  environmentOf,
  healthCheckOf,
  readComposeFile,
} from '../support/compose-file.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { Dockerfile, PROJECT } from '../support/dockerfile.js';
import { EuglenaApi } from '../support/euglena-api.js';
import { eventually } from '../support/eventually.js';
import { type ChromaProcess, startChroma } from '../support/servers/chroma-server.js';
import { type PrivateRabbitMqServer, startPrivateRabbitMq } from '../support/servers/rabbitmq-server.js';
import { type PrivateRedisServer, startPrivateRedis } from '../support/servers/redis-server.js';
import { freePort } from '../support/free-port.js';
import { run, type StagedContainer, startContainer } from '../support/staged-container.js';
import { type StagedImage, stageImage } from '../support/staged-image.js';

/** docker-compose.yml without an engine for containers: what its images hold, its files and its commands are run here. */

const STARTING_MS = 120_000;
const OWN = ['gateway', 'agent', 'metrics', 'autoscaler'] as const;
type Own = (typeof OWN)[number];
const compose = readComposeFile();
const serviceOf = (name: string): ComposeService => compose.services[name] ?? {};
const portOf = (url: string) => Number(new URL(url).port);

let redis: PrivateRedisServer;
let rabbitmq: PrivateRabbitMqServer;
let chroma: ChromaProcess;

beforeAll(async () => {
  const [, , ...options] = serviceOf('redis').command ?? [];
  [redis, rabbitmq, chroma] = await Promise.all([
    startPrivateRedis('--include', `${PROJECT}deploy/redis.conf`, ...options),
    startPrivateRabbitMq(readFileSync(`${PROJECT}deploy/rabbitmq.conf`, 'utf8')),
    startChroma(),
  ]);
  await addRabbitMqUser();
}, STARTING_MS);
/** The user of docker-compose.yml, with no more permissions than docs/containers.md asks for. */
async function addRabbitMqUser(): Promise<void> {
  const { RABBITMQ_DEFAULT_USER: user = '', RABBITMQ_DEFAULT_PASS: password = '' } = environmentOf(
    serviceOf('rabbitmq'),
  );
  const guide = readFileSync(`${PROJECT}docs/containers.md`, 'utf8');
  const [, ...permissions] = /set_permissions \S+ '(.*)' '(.*)' '(.*)'/.exec(guide) ?? [];
  await rabbitmq.control('add_user', user, password);
  await rabbitmq.control('set_permissions', user, ...permissions);
  await rabbitmq.control('set_user_tags', user, 'monitoring');
}

afterAll(async () => {
  await Promise.all([redis?.stop(), rabbitmq?.stop(), chroma?.stop()]);
}, STARTING_MS);

describe('the engines of docker-compose.yml', () => {
  it('Redis keeps what it acknowledged, and throws nothing away', async () => {
    const password = environmentOf(serviceOf('redis'))['REDISCLI_AUTH'] ?? '';
    const client = new Redis(portOf(redis.url), '127.0.0.1', { password });
    try {
      const names = ['appendonly', 'appendfsync', 'no-appendfsync-on-rewrite', 'save', 'maxmemory-policy'];
      const settings = await Promise.all(names.map((name) => client.config('GET', name)));
      expect(Object.fromEntries(settings as [string, string][])).toEqual({
        appendonly: 'yes',
        appendfsync: 'always',
        'no-appendfsync-on-rewrite': 'no',
        save: '',
        'maxmemory-policy': 'noeviction',
      });
      expect(await client.config('GET', 'maxmemory')).toEqual(['maxmemory', String(1024 ** 3)]);
    } finally {
      client.disconnect();
    }
  });

  it('RabbitMQ runs with each setting of its file', async () => {
    const settings = ['rabbit, consumer_timeout', 'rabbit, max_message_size', 'rabbit, disk_free_limit'];
    const asked = [...settings, 'ra, wal_max_size_bytes'].map((name) => `application:get_env(${name})`);
    const answer = await rabbitmq.control('eval', `[element(2, A) || A <- [${asked.join(', ')}]].`);
    expect(answer.trim()).toBe('[90000000,1048576,"1GB",67108864]');
  });

  it.each([
    ['redis', () => portOf(redis.url)],
    ['rabbitmq', () => portOf(rabbitmq.url)],
    ['chroma', () => portOf(chroma.url)],
  ])('the health check of %s passes where it runs and nowhere else', async (name, port) => {
    const env = { PATH: process.env['PATH'], ...environmentOf(serviceOf(name)) };
    const code = async (at: number) => {
      const words = healthCheckOf(serviceOf(name)).map((word) =>
        word
          .replace('redis-cli', `redis-cli -p ${at}`)
          .replace(/\b(5672|8000)\b/, String(at))
          .replace('15672', String(portOf(rabbitmq.managementUrl))),
      );
      return (await run(words, PROJECT, env)).code;
    };
    expect(await code(port())).toBe(0);
    expect(await code(await freePort())).not.toBe(0);
  });
});

interface StartOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Another image than the service's own. */
  readonly image?: string;
}

describe('the images', () => {
  const images = new Map<string, StagedImage>();
  const volumes = temporaryDataDir();
  const running: StagedContainer[] = [];

  beforeAll(() => {
    for (const name of ['Dockerfile.gateway', 'Dockerfile.agent']) {
      images.set(name, stageImage(new Dockerfile(name)));
    }
  }, STARTING_MS);
  afterEach(async () => {
    await Promise.all(running.splice(0).map((container) => container.kill()));
  });
  afterAll(() => {
    for (const image of images.values()) image.remove();
    volumes.remove();
  });

  /** What a service's container sees, with the engines of this test and a folder for each volume. */
  const environmentIn = (service: Own): Record<string, string> => {
    const places = {
      'redis:6379': `127.0.0.1:${portOf(redis.url)}`,
      'rabbitmq:5672': `127.0.0.1:${portOf(rabbitmq.url)}`,
      'rabbitmq:15672': `127.0.0.1:${portOf(rabbitmq.managementUrl)}`,
      'chroma:8000': `127.0.0.1:${portOf(chroma.url)}`,
    };
    const here = (value: string) =>
      Object.entries(places).reduce((text, [name, place]) => text.replace(name, place), value);
    const env = Object.entries(environmentOf(serviceOf(service)));
    const volume = serviceOf(service).volumes?.[0]?.split(':')[0] ?? 'no-volume';
    return {
      ...Object.fromEntries(env.map(([name, value]) => [name, here(value)])),
      EUGLENA_DATA_DIR: join(volumes.path, volume),
    };
  };
  const start = async (
    service: Own,
    { args = [], env = {}, image = serviceOf(service).build?.dockerfile ?? '' }: StartOptions = {},
  ): Promise<StagedContainer> => {
    const staged = images.get(image);
    if (staged === undefined) throw new Error(`${image} is not staged`);
    const whole = { ...environmentIn(service), ...env };
    const container = await startContainer(new Dockerfile(image), staged, { env: whole, args });
    running.push(container);
    return container;
  };

  it.each(['Dockerfile.gateway', 'Dockerfile.agent'])('%s holds nothing for development', (name) => {
    const { root = '' } = images.get(name) ?? {};
    for (const module of ['jest', 'typescript', '@nestjs/cli', '@types/node', '@libsql/linux-x64-musl']) {
      expect([module, existsSync(join(root, 'node_modules', module))]).toEqual([module, false]);
    }
  });

  it.each(OWN)(
    'the container of %s gets ready and healthy, and ends with 0 upon SIGTERM',
    async (service) => {
      const container = await start(service);
      expect(container.output()).toContain(`role ${service} · `);
      expect(await container.checkHealth()).toBe(0);
      const ready = async () => (await fetch(`${container.url}/health/ready`)).status === 200;
      await eventually(`${service} is ready`, ready);
      expect(await container.stop()).toBe(0);
      expect(await container.checkHealth()).toBe(1);
    },
    STARTING_MS,
  );

  it(
    'either image runs the role that an argument or EUGLENA_ROLE names, and the argument wins',
    async () => {
      const byArgument = await start('metrics', {
        args: ['--role', 'metrics'],
        env: { EUGLENA_ROLE: 'agent' },
      });
      expect(byArgument.output()).toContain('role metrics · ');
      const byVariable = await start('gateway', {
        image: 'Dockerfile.agent',
        env: { EUGLENA_ROLE: 'gateway' },
      });
      expect(byVariable.output()).toContain('role gateway · ');
    },
    STARTING_MS,
  );

  it('all together complete a task, run what the autoscaler starts, and end with 0; agents keep no files', async () => {
    // One after the other, as compose does: together they would be slow on a busy machine.
    const gateway = await start('gateway');
    const others = [await start('agent'), await start('metrics')];
    others.push(await start('autoscaler', { env: { MIN_WORKERS: '1' } }));
    const token = (await gateway.exec('node', 'dist/cli/main.js', 'token')).trim();
    const api = new EuglenaApi(gateway.url, token);
    const { id } = await api.submit('How does Euglena decide how many agents to run?');
    await api.journal(id);
    const { status, result } = await api.task(id);
    expect(status).toBe('completed');
    expect(result?.sources.length).toBeGreaterThan(0);
    await eventually('the autoscaler has started an agent', async () => (await api.agents()) === 2, 60_000);
    expect(await Promise.all(others.map((container) => container.stop()))).toEqual([0, 0, 0]);
    await eventually('its agent ended with it', async () => (await api.agents()) === 0);
    expect(await gateway.stop()).toBe(0);
    expect(readdirSync(volumes.path).sort()).toEqual(['fleet-data', 'gateway-data']);
  }, 240_000);
});
