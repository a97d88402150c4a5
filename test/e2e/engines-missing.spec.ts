import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type Role } from '../../src/config/known-settings.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { type EnginesOnTheWire, readinessOf, startEnginesOnTheWire } from '../support/engines.js';
import { type LaunchedProcess, launchEuglena } from '../support/euglena-process.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/free-port.js';
import { type TcpProxy } from '../support/tcp-proxy.js';

const STARTING_MS = 120_000;
/** Within this a process that need not wait has ended, in ms, on a busy machine too; the wait would be 60 s. */
const AT_ONCE_MS = 20_000;
const SECRET = 'geheim';

let engines: EnginesOnTheWire;
beforeAll(async () => {
  engines = await startEnginesOnTheWire();
}, STARTING_MS);
afterEach(() => engines.clean());
afterAll(() => engines.stop(), STARTING_MS);

/** The same address with a user name and a password in it. */
function withCredentials(address: string, username: string, password: string): string {
  const url = new URL(address);
  [url.username, url.password] = [username, password];
  return url.href;
}

describe('a role at its start', () => {
  const dataDir = temporaryDataDir();
  const launched: LaunchedProcess[] = [];
  afterEach(async () => {
    for (const one of launched.splice(0)) await one.kill('SIGKILL');
  });
  afterAll(() => dataDir.remove());

  /** A role on a port that is known before it says so. */
  const launch = async (role: Role, env: Readonly<Record<string, string>>) => {
    const port = await freePort();
    const one = launchEuglena(role, dataDir.path, { PORT: String(port), ...env });
    launched.push(one);
    return { ...one, origin: `http://127.0.0.1:${port}` };
  };
  const waits = (one: LaunchedProcess, place: string) =>
    eventually('it waits', () => one.output().includes(`Waiting for ${place} (0 of `));

  describe.each([
    ['Redis', 'REDIS_URL', 'redis', ['task-store', 'presence']],
    ['RabbitMQ', 'RABBITMQ_URL', 'amqp', ['work-queue']],
    ['ChromaDB', 'CHROMA_URL', 'http', ['agent-memory']],
  ])('an agent without %s', (engine, setting, scheme, components) => {
    it('lives, says what is down, waits visibly, and gives up with the name of the engine', async () => {
      const port = await freePort();
      const place = `${engine} at 127.0.0.1:${port}`;
      const url = withCredentials(`${scheme}://127.0.0.1:${port}`, 'tester', SECRET);
      const agent = await launch('agent', { [setting]: url, ENGINE_WAIT_SECONDS: '5' });
      await waits(agent, place);
      expect((await fetch(`${agent.origin}/health/live`)).status).toBe(200);
      expect(await readinessOf(agent.origin)).toEqual({ status: 503, down: components });
      expect(await agent.exited).toEqual({ code: 1, signal: null });
      expect(agent.errors()).toBe(
        `Euglena did not start. ${place} cannot be reached. Waited 5 s (ENGINE_WAIT_SECONDS).\n`,
      );
      expect(agent.output()).not.toMatch(/^ready$/m);
      expect(agent.output()).not.toContain(SECRET);
    });

    it('ends well on SIGTERM while it waits', async () => {
      const port = await freePort();
      const agent = await launch('agent', { [setting]: `${scheme}://127.0.0.1:${port}` });
      await waits(agent, `${engine} at 127.0.0.1:${port}`);
      const since = performance.now();
      expect(await agent.kill('SIGTERM')).toEqual({ code: 0, signal: null });
      expect(performance.now() - since).toBeLessThan(3_000);
      expect(agent.errors()).toBe('');
    });
  });

  it('names every engine that is missing', async () => {
    const [one, two] = [await freePort(), await freePort()];
    const gateway = await launch('gateway', {
      REDIS_URL: `redis://127.0.0.1:${one}`,
      RABBITMQ_URL: `amqp://127.0.0.1:${two}`,
      ENGINE_WAIT_SECONDS: '1',
    });
    expect(await gateway.exited).toEqual({ code: 1, signal: null });
    expect(gateway.errors()).toBe(
      `Euglena did not start. Redis at 127.0.0.1:${one} cannot be reached. ` +
        `RabbitMQ at 127.0.0.1:${two} cannot be reached. Waited 1 s (ENGINE_WAIT_SECONDS).\n`,
    );
  });

  it('serves as soon as the engines that it waits for do, and declares its queues then', async () => {
    const queue = engines.freshQueue();
    engines.wires.redis.refuse();
    engines.wires.rabbitmq.refuse();
    const gateway = await launch('gateway', {
      REDIS_URL: engines.wires.redis.url,
      RABBITMQ_URL: engines.wires.rabbitmq.url,
      QUEUE_NAME: queue,
    });
    const place = ({ url }: TcpProxy) => new URL(url).host;
    await waits(
      gateway,
      `Redis at ${place(engines.wires.redis)} and RabbitMQ at ${place(engines.wires.rabbitmq)}`,
    );
    engines.wires.redis.heal();
    engines.wires.rabbitmq.heal();
    await gateway.ready;
    expect(await readinessOf(gateway.origin)).toEqual({ status: 200, down: [] });
    expect(await engines.broker.checkQueue(queue)).toMatchObject({ messageCount: 0 });
  });

  it('leaves no consumer behind when an agent is ended while it waits for Redis alone', async () => {
    const queue = engines.freshQueue();
    engines.wires.redis.refuse();
    const agent = await launch('agent', {
      REDIS_URL: engines.wires.redis.url,
      RABBITMQ_URL: engines.rabbitmqUrl,
      QUEUE_NAME: queue,
    });
    await waits(agent, 'Redis at ' + new URL(engines.wires.redis.url).host);
    expect(await engines.broker.checkQueue(queue)).toMatchObject({ consumerCount: 0 });
    expect(await agent.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(await engines.broker.checkQueue(queue)).toMatchObject({ consumerCount: 0 });
  });

  describe('gives up at once, with one line, when Redis', () => {
    const mend: (() => Promise<unknown>)[] = [];
    afterEach(async () => {
      for (const step of mend.splice(0)) await step();
    });

    it.each([
      [
        'refuses the password',
        async () => {
          await engines.raw.acl('SETUSER', 'tester', 'on', '>right', 'allkeys', 'allcommands');
          return withCredentials(engines.redis.url, 'tester', SECRET);
        },
        'refuses the user name or password in REDIS_URL.',
      ],
      [
        'is a read-only replica',
        async () => {
          mend.push(() => engines.raw.replicaof('NO', 'ONE'));
          await engines.raw.replicaof('127.0.0.1', 1);
          return engines.redis.url;
        },
        'is a read-only replica; REDIS_URL must name the primary.',
      ],
      [
        'has no memory left',
        async () => {
          mend.push(() => engines.raw.config('SET', 'maxmemory', '0'));
          await engines.raw.config('SET', 'maxmemory', '1');
          return engines.redis.url;
        },
        'takes no writes: its memory limit (maxmemory) is reached.',
      ],
      [
        'cannot save its data',
        async () => {
          const folder = temporaryDataDir();
          mend.push(() => engines.raw.config('SET', 'save', ''));
          await engines.raw.config('SET', 'save', '3600 1');
          await engines.raw.config('SET', 'dir', folder.path);
          folder.remove();
          await engines.raw.bgsave();
          const failed = async () =>
            (await engines.raw.info('persistence')).includes('last_bgsave_status:err');
          await eventually('a failed save', failed);
          return engines.redis.url;
        },
        'takes no writes: it cannot save its data to disk.',
      ],
    ])('%s', async (_, spoil, sentence) => {
      const since = performance.now();
      const gateway = await launch('gateway', { REDIS_URL: await spoil() });
      expect(await gateway.exited).toEqual({ code: 1, signal: null });
      expect(performance.now() - since).toBeLessThan(AT_ONCE_MS);
      expect(gateway.errors()).toBe(
        `Euglena did not start. Redis at ${new URL(engines.redis.url).host} ${sentence}\n`,
      );
      expect(gateway.output()).not.toContain(SECRET);
    });
  });

  describe('gives up at once, with one line, when RabbitMQ', () => {
    const classic = async () => {
      const queue = engines.freshQueue();
      await engines.broker.assertQueue(queue, { durable: true });
      return { QUEUE_NAME: queue };
    };
    it.each([
      [
        'refuses the password',
        async () => ({ RABBITMQ_URL: withCredentials(engines.rabbitmqUrl, 'guest', SECRET) }),
        /^Euglena did not start\. RabbitMQ at \S+ refuses the user name, the password .*RABBITMQ_URL\)\.\n$/,
      ],
      [
        'has no such virtual host',
        async () => ({ RABBITMQ_URL: `${engines.rabbitmqUrl}/nowhere` }),
        /^Euglena did not start\. RabbitMQ at \S+\/nowhere has no such virtual host.*RABBITMQ_URL\)\.\n$/,
      ],
      [
        'has the queue with other arguments',
        classic,
        /^Euglena did not start\. The queue "e2e\.\S+" .* exists on the broker with other arguments .*\n$/,
      ],
    ])('%s', async (_, spoil, line) => {
      const since = performance.now();
      const env = { RABBITMQ_URL: engines.rabbitmqUrl, QUEUE_NAME: engines.freshQueue(), ...(await spoil()) };
      const gateway = await launch('gateway', env);
      expect(await gateway.exited).toEqual({ code: 1, signal: null });
      expect(performance.now() - since).toBeLessThan(AT_ONCE_MS);
      expect(gateway.errors()).toMatch(line);
      expect(gateway.output()).not.toContain(SECRET);
    });

    it('comes late, and has the queue with other arguments', async () => {
      engines.wires.rabbitmq.refuse();
      const env = { RABBITMQ_URL: engines.wires.rabbitmq.url, ...(await classic()) };
      const gateway = await launch('gateway', env);
      await waits(gateway, `RabbitMQ at ${new URL(engines.wires.rabbitmq.url).host}`);
      engines.wires.rabbitmq.heal();
      expect(await gateway.exited).toEqual({ code: 1, signal: null });
      expect(gateway.errors()).toMatch(/exists on the broker with other arguments .*QUEUE_NAME\.\n$/);
    });
  });
});
