/** Redis, RabbitMQ and ChromaDB for a run: those that the environment names, or private ones at the loopback. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { freePort, PrivateServer } from './private-server.js';

const { fetch, Buffer } = globalThis;
const { PATH, HOME } = process.env;

const REDIS = ['/usr/bin/redis-server', '/usr/local/bin/redis-server'];
/** Debian's server script: the wrapper in the PATH would change to another user. */
const RABBITMQ = '/usr/lib/rabbitmq/bin/rabbitmq-server';
/** The server that npm has; see test/support/servers/chroma-server.ts. */
const CHROMA = 'chromadb-js-bindings-linux-x64-gnu';
const CHROMA_VERSION = '1.0.5';
const CHROMA_CACHE = join(import.meta.dirname, '../node_modules/.cache/euglena-chroma');
const CHROMA_RUN = "require(process.argv[1]).cli(['chroma', 'run', ...process.argv.slice(2)])";

/**
 * Answers the settings that lead to the engines, and by name those that may be restarted. `close` ends them and removes
 * what they stored. `withChroma`: whether there is a ChromaDB at all. `logs`: a folder for the broker's log. `appendfsync`:
 * when Redis writes to disk; with `always`, kill -9 loses nothing that it acknowledged.
 */
export async function startEngines(withChroma, { logs, appendfsync = 'always' } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'euglena-engines-'));
  const { REDIS_URL, RABBITMQ_URL, RABBITMQ_MANAGEMENT_URL = '', CHROMA_URL } = process.env;
  const starting = [];
  starting.push(REDIS_URL ? { env: { REDIS_URL } } : privateRedis(folder, appendfsync));
  starting.push(
    RABBITMQ_URL ? { env: { RABBITMQ_URL, RABBITMQ_MANAGEMENT_URL } } : privateRabbitMq(folder, logs),
  );
  if (withChroma) starting.push(CHROMA_URL ? { env: { CHROMA_URL } } : privateChroma(folder));
  const engines = await Promise.all(starting);
  const servers = engines.flatMap(({ server }) => server ?? []);
  const helpers = engines.flatMap(({ helper }) => helper ?? []);
  const close = async () => {
    await Promise.all([...servers, ...helpers].map((server) => server.end('SIGKILL')));
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await Promise.all(helpers.map((server) => server.start()));
    await Promise.all(servers.map((server) => server.start()));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    env: Object.assign({}, ...engines.map(({ env }) => env)),
    private: Object.fromEntries(servers.map((server) => [server.name, server])),
    close,
  };
}

async function privateRedis(folder, appendfsync) {
  const program = REDIS.find((place) => existsSync(place));
  if (program === undefined) throw new Error('Set REDIS_URL or install redis-server.');
  const port = await freePort();
  const dir = join(folder, 'redis');
  mkdirSync(dir);
  const where = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir];
  const durable = ['--save', '', '--appendonly', 'yes', '--appendfsync', appendfsync];
  const server = new PrivateServer('redis', {
    command: [program, ...where, ...durable],
    env: { PATH },
    answers: () => saysTo(port, 'PING\r\n', '+PONG'),
  });
  return { server, env: { REDIS_URL: `redis://127.0.0.1:${port}/0` } };
}

/** Whether who listens answers `question` so. */
function saysTo(port, question, answer) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(question));
    socket.on('data', (data) => {
      resolve(data.toString().includes(answer));
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

async function privateRabbitMq(folder, logs = join(folder, 'rabbitmq', 'log')) {
  if (!existsSync(RABBITMQ)) throw new Error(`Set RABBITMQ_URL or install rabbitmq-server (${RABBITMQ}).`);
  const [port, management, distribution, mapper] = await Promise.all([1, 2, 3, 4].map(freePort));
  const home = join(folder, 'rabbitmq');
  mkdirSync(join(home, 'data'), { recursive: true });
  const env = rabbitMqEnvironment(home, logs, { port, management, distribution, mapper });
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`;
  const check = `http://127.0.0.1:${management}/api/health/checks/port-listener/${port}`;
  const server = new PrivateServer('rabbitmq', {
    command: [RABBITMQ],
    env,
    answers: () => answersOk(check, { authorization }),
  });
  return {
    server,
    env: {
      RABBITMQ_URL: `amqp://guest:guest@127.0.0.1:${port}`,
      RABBITMQ_MANAGEMENT_URL: `http://guest:guest@127.0.0.1:${management}`,
    },
    helper: portMapper(mapper),
  };
}

/** Erlang's port mapper: the one that a node starts for itself would outlive it. */
function portMapper(port) {
  const names = '\x00\x01n';
  return new PrivateServer('epmd', {
    command: ['epmd', '-address', '127.0.0.1', '-port', `${port}`],
    env: { PATH },
    answers: () => saysTo(port, names, ''),
  });
}

function rabbitMqEnvironment(home, logs, { port, management, distribution, mapper }) {
  const file = (name, lines) => {
    writeFileSync(join(home, name), `${lines.join('\n')}\n`);
    return join(home, name);
  };
  return {
    PATH,
    HOME: home,
    ERL_EPMD_PORT: `${mapper}`,
    RABBITMQ_NODENAME: `euglena-${port}@localhost`,
    RABBITMQ_DIST_PORT: `${distribution}`,
    RABBITMQ_MNESIA_BASE: join(home, 'data'),
    RABBITMQ_LOG_BASE: logs,
    RABBITMQ_ENABLED_PLUGINS_FILE: file('plugins', ['[rabbitmq_management].']),
    RABBITMQ_CONFIG_FILE: file('rabbitmq.conf', [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      'management.tcp.ip = 127.0.0.1',
      `management.tcp.port = ${management}`,
      'collect_statistics_interval = 1000',
    ]),
    // Quorum queues report their figures at this interval (ms).
    RABBITMQ_ADVANCED_CONFIG_FILE: file('advanced.config', ['[{rabbit, [{quorum_tick_interval, 1000}]}].']),
  };
}

async function privateChroma(folder) {
  const library = await chromaLibrary();
  const port = await freePort();
  const where = ['--path', join(folder, 'chroma'), '--host', '127.0.0.1', '--port', `${port}`];
  const server = new PrivateServer('chroma', {
    command: [process.execPath, '-e', CHROMA_RUN, library, ...where],
    env: { PATH, HOME },
    answers: () => answersOk(`http://127.0.0.1:${port}/api/v2/heartbeat`),
  });
  return { server, env: { CHROMA_URL: `http://127.0.0.1:${port}` } };
}

/** Installed beside the caches of other tools, on first use; complete or not there at all. */
async function chromaLibrary() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      'ChromaDB is started on Linux x64 only: set CHROMA_URL, or leave it out with --no-chroma.',
    );
  }
  const home = join(CHROMA_CACHE, CHROMA_VERSION);
  const library = join(home, 'node_modules', CHROMA);
  if (existsSync(library)) return library;
  mkdirSync(CHROMA_CACHE, { recursive: true });
  const fresh = mkdtempSync(join(CHROMA_CACHE, 'new-'));
  writeFileSync(join(fresh, 'package.json'), '{}');
  const flags = ['--prefix', fresh, '--ignore-scripts', '--no-audit', '--no-fund'];
  await promisify(execFile)('npm', ['install', ...flags, `${CHROMA}@${CHROMA_VERSION}`], { cwd: fresh });
  try {
    renameSync(fresh, home);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(library)) throw error;
  }
  return library;
}

function answersOk(url, headers = {}) {
  return fetch(url, { headers }).then(
    ({ ok }) => ok,
    () => false,
  );
}
