import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '../eventually.js';
import { installDebianPackage } from './debian-package.js';

/** Debian's server script: the wrapper in the PATH would change to another user. */
const BINARY = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const START_MS = 60_000;

/** A broker that runs with a configuration file of this project. */
export interface ShippedRabbitMq {
  readonly port: number;
  readonly managementPort: number;
  /** Runs `rabbitmqctl` against it. */
  control(...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

/**
 * Starts a private RabbitMQ with this configuration file and environment, as the container of the same file does. Only
 * ports and folders are the test's own.
 */
export async function startShippedRabbitMq(
  configPath: string,
  environment: Readonly<Record<string, string>>,
): Promise<ShippedRabbitMq> {
  if (!existsSync(BINARY)) installDebianPackage('rabbitmq-server');
  if (!existsSync(BINARY)) {
    throw new Error(`This test needs Debian's rabbitmq-server (${BINARY}): install it, or run as root.`);
  }
  const [port = 0, managementPort = 0, distributionPort = 0] = await freePorts(3);
  const home = mkdtempSync(join(tmpdir(), 'euglena-rabbitmq-'));
  const file = (name: string, text: string): string => {
    writeFileSync(join(home, name), text);
    return join(home, name);
  };
  mkdirSync(join(home, 'data'));
  const own = [
    `listeners.tcp.1 = 127.0.0.1:${port}`,
    'management.tcp.ip = 127.0.0.1',
    `management.tcp.port = ${managementPort}`,
  ].join('\n');
  const env = {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    ...environment,
    HOME: home,
    RABBITMQ_NODENAME: `euglena-${port}@localhost`,
    RABBITMQ_DIST_PORT: `${distributionPort}`,
    RABBITMQ_MNESIA_BASE: join(home, 'data'),
    RABBITMQ_LOG_BASE: join(home, 'log'),
    RABBITMQ_ENABLED_PLUGINS_FILE: file('plugins', '[rabbitmq_management].\n'),
    RABBITMQ_CONFIG_FILE: file('rabbitmq.conf', `${readFileSync(configPath, 'utf8')}\n${own}\n`),
  };
  // A group of its own: the script starts the Erlang machine as a child.
  const child = spawn(BINARY, [], { env, stdio: 'ignore', detached: true });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    await ended;
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  };
  const listens = async () => {
    if (child.exitCode !== null) throw new Error(`RabbitMQ did not start with ${configPath}`);
    return fetch(`http://127.0.0.1:${managementPort}/`).then(
      ({ ok }) => ok,
      () => false,
    );
  };
  await eventually('a RabbitMQ server', listens, START_MS).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const control = async (...args: string[]) => {
    const program = join(dirname(BINARY), 'rabbitmqctl');
    return (await promisify(execFile)(program, ['--quiet', ...args], { env })).stdout;
  };
  await control('await_startup');
  return { port, managementPort, control, stop };
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(
    servers.map((one) => new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve))),
  );
  const ports = servers.map((one) => (one.address() as AddressInfo).port);
  await Promise.all(servers.map((one) => new Promise((resolve) => one.close(resolve))));
  return ports;
}
