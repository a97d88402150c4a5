import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { EngineRefusal } from '../../src/domain/errors.js';
import { RedisConnection } from '../../src/ports/redis/redis-connection.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { eventually } from '../support/eventually.js';
import { type PrivateRedisServer, startPrivateRedis } from '../support/servers/redis-server.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';

/** Not portable: what this engine refuses, and how its connection comes and goes, is its own affair. */
describe('the connection to Redis', () => {
  let server: PrivateRedisServer;
  let raw: Redis;
  let proxy: TcpProxy;
  let connection: RedisConnection;
  beforeAll(async () => {
    server = await startPrivateRedis('--enable-protected-configs', 'yes');
    raw = new Redis(server.url);
  });
  afterAll(async () => {
    raw.disconnect();
    await server.stop();
  });
  beforeEach(async () => {
    proxy = await startTcpProxy(server.url);
    connection = new RedisConnection(proxy.url);
  });
  afterEach(async () => {
    connection.close();
    await proxy.close();
  });

  const failureOf = (attempt: Promise<unknown>): Promise<unknown> =>
    attempt.then(
      () => 'it did not fail',
      (error: unknown) => error,
    );
  const serves = () =>
    connection.ping().then(
      () => true,
      () => false,
    );

  describe('answers a ping only when it takes writes', () => {
    it('and leaves nothing behind: no key, no line in the append-only file', async () => {
      const written = async () => /aof_current_size:(\d+)/.exec(await raw.info('persistence'))?.[1];
      const before = await written();
      await connection.ping();
      expect(await raw.dbsize()).toBe(0);
      expect(await written()).toBe(before);
    });

    it.each([
      [
        'a read-only replica',
        () => raw.replicaof('127.0.0.1', 1),
        () => raw.replicaof('NO', 'ONE'),
        /is a read-only replica; REDIS_URL must name the primary\.$/,
      ],
      [
        'no memory left',
        () => raw.config('SET', 'maxmemory', '1'),
        () => raw.config('SET', 'maxmemory', '0'),
        /takes no writes: its memory limit \(maxmemory\) is reached\.$/,
      ],
    ])('and refuses with %s', async (_, spoil, mend, sentence) => {
      await spoil();
      const error = await failureOf(connection.ping());
      await mend();
      expect(error).toBeInstanceOf(EngineRefusal);
      expect(error).toMatchObject({ code: 'engine_unavailable', message: expect.stringMatching(sentence) });
      await eventually('it serves again', serves);
    });

    it('and refuses when the disk takes no more', async () => {
      const folder = temporaryDataDir();
      await raw.config('SET', 'save', '3600 1');
      await raw.config('SET', 'dir', folder.path);
      folder.remove();
      await raw.bgsave();
      const failed = async () => (await raw.info('persistence')).includes('last_bgsave_status:err');
      await eventually('a failed save', failed);
      const error = await failureOf(connection.ping());
      await raw.config('SET', 'save', '');
      expect(error).toBeInstanceOf(EngineRefusal);
      expect(error).toMatchObject({
        message: expect.stringMatching(/takes no writes: it cannot save its data/),
      });
      await connection.ping();
    });

    it('and fails, without refusing, while too few replicas are there', async () => {
      await raw.config('SET', 'min-replicas-to-write', '1');
      const error = await failureOf(connection.ping());
      await raw.config('SET', 'min-replicas-to-write', '0');
      expect(error).not.toBeInstanceOf(EngineRefusal);
      expect(error).toMatchObject({ message: expect.stringMatching(/too few of its replicas/) });
    });
  });

  it('refuses wrong credentials, without showing them', async () => {
    await raw.acl('SETUSER', 'tester', 'on', '>right', 'allkeys', 'allcommands');
    const url = new URL(proxy.url);
    [url.username, url.password] = ['tester', 'geheim'];
    const other = new RedisConnection(url.href);
    const error = await failureOf(other.ping());
    other.close();
    expect(error).toBeInstanceOf(EngineRefusal);
    expect(String(error)).toBe(
      `EuglenaError: Redis at ${url.host} refuses the user name or password in REDIS_URL.`,
    );
  });

  it('says that nothing was done while there is no server, and serves when there is one', async () => {
    proxy.refuse();
    const error = await failureOf(connection.run((client) => client.set('a', '1')));
    expect(error).toMatchObject({
      message: `Redis at ${new URL(proxy.url).host} cannot be reached.`,
      nothingDone: true,
    });
    expect(error).not.toBeInstanceOf(EngineRefusal);
    proxy.heal();
    await eventually('it serves', serves);
    expect(await raw.exists('a')).toBe(0);
  });

  it('never sends what it gave up before it was connected', async () => {
    proxy.silence();
    const error = await failureOf(connection.run((client) => client.set('a', '1')));
    expect(error).toMatchObject({ message: expect.stringMatching(/in time/), nothingDone: true });
    proxy.heal();
    await eventually('it serves', serves);
    expect(await raw.exists('a')).toBe(0);
  });

  it('does not say so of what was on its way when the server fell silent', async () => {
    await connection.ping();
    proxy.silence();
    const error = await failureOf(connection.run((client) => client.set('b', '1')));
    expect(error).toMatchObject({ code: 'engine_unavailable', nothingDone: false });
  });
});
