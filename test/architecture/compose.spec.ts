import { readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { chooseAdapter, forbiddenFallbacks } from '../../src/config/adapter-choice.js';
import { type Role, SETTING_NAMES } from '../../src/config/known-settings.js';
import { readSettings } from '../../src/config/settings.js';
import { agentEnvironment } from '../../src/ports/fleet/agent-environment.js';
import { environmentOf, healthCheckOf, readComposeFile } from '../support/compose-file.js';
import { Dockerfile, PROJECT } from '../support/dockerfile.js';

/** A role that drains longer is cut off by itself (src/boot/run-role.ts), in seconds. */
const DRAIN_LIMIT_SECONDS = 45;
const PINNED = /^[\w./-]+:\d+\.\d+\.\d+(-[\w.]+)?$/;
const LOOPBACK_PORT = /^127\.0\.0\.1:(\d+):\d+$/;

const textOf = (path: string) => readFileSync(`${PROJECT}${path}`, 'utf8');
const compose = readComposeFile();
const OWN = ['gateway', 'agent', 'metrics', 'autoscaler'] as const;

/** The environment that a role of the compose file sees: its image's, and the file's over it. */
function environmentIn(service: Role, env: Readonly<Record<string, string>> = {}) {
  const definition = readComposeFile(env).services[service];
  if (definition?.build === undefined) throw new Error(`${service} is not built`);
  return { ...new Dockerfile(definition.build.dockerfile).environment, ...environmentOf(definition) };
}

const withoutPort = (env: Record<string, string>, allowed: string) => ({
  ...env,
  EUGLENA_ALLOW_EMBEDDED: (env['EUGLENA_ALLOW_EMBEDDED'] ?? '')
    .split(',')
    .filter((name) => name !== allowed)
    .join(','),
});

describe('docker-compose.yml', () => {
  const services = Object.entries(compose.services);

  it('runs every role and every engine', () => {
    expect(Object.keys(compose.services).sort()).toEqual([...OWN, 'redis', 'rabbitmq', 'chroma'].sort());
  });

  it('builds what is there', () => {
    for (const service of OWN) {
      const { context = '', dockerfile = '' } = compose.services[service]?.build ?? {};
      expect(context).toBe('.');
      expect(['Dockerfile.gateway', 'Dockerfile.agent']).toContain(dockerfile);
    }
  });

  it('pins each engine to a version', () => {
    const images = services.flatMap(([, { image }]) => (image === undefined ? [] : [image]));
    expect(images).toHaveLength(3);
    for (const image of images) expect(image).toMatch(PINNED);
  });

  it('mounts files that exist, read-only, and volumes that are declared', () => {
    const mounts = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')));
    const files = mounts.filter(([source = '']) => source.startsWith('.'));
    expect(files.length).toBeGreaterThan(0);
    for (const [source = '', , mode] of files) {
      expect([source, statSync(`${PROJECT}${source}`).isFile(), mode]).toEqual([source, true, 'ro']);
    }
    const named = mounts.map(([source = '']) => source).filter((source) => !source.startsWith('.'));
    expect([...new Set(named)].sort()).toEqual(Object.keys(compose.volumes).sort());
  });

  it('waits for health, and only for services that have a check of it', () => {
    const waits = services.flatMap(([, { depends_on = {} }]) => Object.entries(depends_on));
    expect(waits.length).toBeGreaterThan(0);
    for (const [name, { condition }] of waits) {
      const service = compose.services[name];
      const check = service?.build
        ? new Dockerfile(service.build.dockerfile).healthCheck
        : healthCheckOf(service ?? {});
      expect([name, condition, check.length > 0]).toEqual([name, 'service_healthy', true]);
    }
  });

  it('opens ports on the loopback only, and each once', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []);
    expect(ports).toHaveLength(4);
    for (const port of ports) expect(port).toMatch(LOOPBACK_PORT);
    expect(new Set(ports.map((port) => LOOPBACK_PORT.exec(port)?.[1])).size).toBe(ports.length);
  });

  it('opens no port for agents: there may be several', () => {
    expect(compose.services['agent']?.ports).toBeUndefined();
  });

  it('starts everything again after a crash, and gives a role longer than its drain', () => {
    for (const [, { restart }] of services) expect(restart).toBe('unless-stopped');
    for (const service of OWN) {
      const seconds = /^(\d+)s$/.exec(compose.services[service]?.stop_grace_period ?? '')?.[1];
      expect(Number(seconds)).toBeGreaterThan(DRAIN_LIMIT_SECONDS);
    }
  });

  it('keeps the folder with the signing secret from everything that reads pages', () => {
    const holders = services.filter(([, { volumes = [] }]) => volumes.join().includes('gateway-data'));
    expect(holders.map(([name]) => name)).toEqual(['gateway']);
  });

  it('gives the gateway no key of models or search, and others none of Supabase', () => {
    const names = (service: Role) => Object.keys(environmentOf(compose.services[service] ?? {}));
    expect(names('gateway').filter((name) => /OPENAI|SEARCH/.test(name))).toEqual([]);
    for (const service of ['agent', 'metrics', 'autoscaler'] as const) {
      expect(names(service).filter((name) => name.startsWith('SUPABASE'))).toEqual([]);
    }
  });
});

describe.each(OWN)('the service %s', (service) => {
  const env = environmentIn(service);

  it('sets only settings that there are', () => {
    expect(Object.keys(env).filter((name) => !SETTING_NAMES.includes(name))).toEqual([]);
  });

  it('runs its role in production on Redis and RabbitMQ', () => {
    const settings = readSettings(env);
    expect(settings).toMatchObject({ role: service, production: true });
    expect(forbiddenFallbacks(settings)).toEqual([]);
    expect(chooseAdapter('presence', settings).adapter).toBe('Redis');
    expect(chooseAdapter('work-queue', settings).adapter).toBe('RabbitMQ');
  });

  it('takes the values that are set where compose runs, such as those of .env.example', () => {
    const example = textOf('.env.example').matchAll(/^([A-Z]\w*)=(.*)$/gm);
    const values = Object.fromEntries([...example].map(([, name = '', value = '']) => [name, value]));
    expect(readSettings(environmentIn(service, values)).role).toBe(service);
    expect(environmentIn(service, { LOG_LEVEL: 'debug' })['LOG_LEVEL']).toBe('debug');
  });

  it('allows embedded adapters for no port that could do without', () => {
    const roles = service === 'autoscaler' ? [env, agentEnvironment(env, '/data')] : [env];
    const allowed = readSettings(env).allowEmbedded;
    const needless = allowed.filter((port) =>
      roles.every(
        (one) => forbiddenFallbacks(readSettings(withoutPort({ ...one } as never, port))).length === 0,
      ),
    );
    expect(needless).toEqual([]);
  });
});

describe('the agents that the autoscaler starts', () => {
  const own = readSettings(agentEnvironment(environmentIn('autoscaler'), '/data'));

  it('run in production on the same engines and settings as the service "agent"', () => {
    expect(own).toMatchObject({ role: 'agent', production: true });
    expect(forbiddenFallbacks(own)).toEqual([]);
    const agent = readSettings(environmentIn('agent'));
    for (const part of [
      'redisUrl',
      'rabbitmqUrl',
      'chromaUrl',
      'queueName',
      'agent',
      'model',
      'search',
    ] as const) {
      expect(own[part]).toEqual(agent[part]);
    }
  });

  it('have as many tasks as the autoscaler counts for one', () => {
    expect(readSettings(environmentIn('autoscaler')).scaling.targetMessagesPerWorker).toBe(
      own.agent.concurrency,
    );
  });
});

describe.each(['deploy/redis.conf', 'deploy/rabbitmq.conf'])('%s', (path) => {
  it('says of each line why it is there', () => {
    const blocks = textOf(path).split(/\n\s*\n/);
    const bare = blocks.filter((block) => !block.trim().startsWith('#'));
    expect(bare).toEqual([]);
  });
});

describe('deploy/rabbitmq.conf', () => {
  it('lets a consumer hold a message for longer than the longest task may take', () => {
    const milliseconds = Number(/^consumer_timeout = (\d+)$/m.exec(textOf('deploy/rabbitmq.conf'))?.[1]);
    const longest = 86_400;
    expect(() => readSettings({ TASK_DEADLINE_SECONDS: String(longest + 1) })).toThrow(
      'TASK_DEADLINE_SECONDS',
    );
    const { agent } = readSettings({ TASK_DEADLINE_SECONDS: String(longest) });
    expect(milliseconds).toBeGreaterThan(agent.deadlineMs);
  });
});
