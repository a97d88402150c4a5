import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '../eventually.js';
import { freePort } from '../free-port.js';
import { installDebianPackage } from './debian-package.js';
import { askManagement } from './rabbitmq-management.js';

/** A broker for tests: private to the caller, or one that the environment names. */
export interface RabbitMqServer {
  readonly url: string;
  /** The management API with credentials; null when only a URL without one was given. */
  readonly managementUrl: string | null;
  /** Stops and starts the broker over the same data; absent when the broker belongs to somebody else. */
  restart?(): Promise<void>;
  stop(): Promise<void>;
  /** Ends the broker at once, as a power cut would. */
  kill(): void;
}

/** A broker that only the test uses. */
export interface PrivateRabbitMqServer extends RabbitMqServer {
  readonly managementUrl: string;
  restart(): Promise<void>;
  /** Runs `rabbitmqctl` on it; answers what that says. */
  control(...command: string[]): Promise<string>;
}

/** Debian's scripts: the wrappers in the PATH would change to another user. */
const PROGRAMS = '/usr/lib/rabbitmq/bin';
const BINARY = join(PROGRAMS, 'rabbitmq-server');
const START_MS = 60_000;

/** Takes `RABBITMQ_URL` (and `RABBITMQ_MANAGEMENT_URL`) if given, else starts Debian's server, installing it if it may. */
export async function startRabbitMq(): Promise<RabbitMqServer> {
  const { RABBITMQ_URL: url, RABBITMQ_MANAGEMENT_URL: managementUrl } = process.env;
  if (url) {
    return {
      url,
      managementUrl: managementUrl || null,
      stop: () => Promise.resolve(),
      kill: () => undefined,
    };
  }
  return startPrivateRabbitMq();
}

/** A private server, with these lines of `rabbitmq.conf` besides. */
export async function startPrivateRabbitMq(...configuration: string[]): Promise<PrivateRabbitMqServer> {
  install();
  const node = new PrivateNode(await freePort(), await freePort(), await freePort(), configuration);
  await node.start();
  return node;
}

class PrivateNode implements PrivateRabbitMqServer {
  readonly url: string;
  readonly managementUrl: string;
  private readonly home = mkdtempSync(join(tmpdir(), 'euglena-rabbitmq-'));
  private readonly env: Record<string, string>;
  private pid: number | undefined;
  private ended: Promise<void> = Promise.resolve();

  constructor(
    port: number,
    managementPort: number,
    distributionPort: number,
    private readonly configuration: readonly string[],
  ) {
    this.url = `amqp://guest:guest@127.0.0.1:${port}`;
    this.managementUrl = `http://guest:guest@127.0.0.1:${managementPort}`;
    this.env = this.configure(port, managementPort, distributionPort);
  }

  async start(): Promise<void> {
    // A group of its own: the script starts the Erlang machine as a child.
    const child = spawn(BINARY, [], { env: this.env, stdio: 'ignore', detached: true });
    this.pid = child.pid;
    this.ended = new Promise((resolve) => child.once('exit', () => resolve()));
    const failed = this.ended.then(() =>
      Promise.reject(new Error('the RabbitMQ server ended while it started')),
    );
    await Promise.race([failed, eventually('a RabbitMQ server', () => this.answers(), START_MS)]);
    failed.catch(() => undefined);
  }

  async restart(): Promise<void> {
    await this.end('SIGTERM');
    await this.start();
  }

  async stop(): Promise<void> {
    await this.end('SIGKILL');
    // The Erlang machine may still be writing its last words.
    rmSync(this.home, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
  }

  kill(): void {
    this.signal('SIGKILL');
  }

  async control(...command: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(join(PROGRAMS, 'rabbitmqctl'), command, { env: this.env });
    return stdout;
  }

  private async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.signal(signal);
    await this.ended;
    this.pid = undefined;
  }

  private signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.pid === undefined) return;
    try {
      process.kill(-this.pid, signal);
    } catch {
      // It has ended already.
    }
  }

  /** Health check of the management API: the node runs and its listeners are open. */
  private async answers(): Promise<boolean> {
    const path = `/api/health/checks/port-listener/${new URL(this.url).port}`;
    try {
      const answer = await askManagement(this.managementUrl, path);
      return answer.ok;
    } catch {
      return false;
    }
  }

  private configure(port: number, managementPort: number, distributionPort: number): Record<string, string> {
    const file = (name: string, text: string): string => {
      writeFileSync(join(this.home, name), text);
      return join(this.home, name);
    };
    mkdirSync(join(this.home, 'data'));
    return {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      // Idle schedulers sleep: they would take the processors that the tests need.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+sbwt none +sbwtdcpu none +sbwtdio none',
      HOME: this.home,
      RABBITMQ_NODENAME: `euglena-${port}@localhost`,
      RABBITMQ_DIST_PORT: `${distributionPort}`,
      RABBITMQ_MNESIA_BASE: join(this.home, 'data'),
      RABBITMQ_LOG_BASE: join(this.home, 'log'),
      RABBITMQ_ENABLED_PLUGINS_FILE: file('plugins', '[rabbitmq_management].\n'),
      RABBITMQ_CONFIG_FILE: file(
        'rabbitmq.conf',
        [
          `listeners.tcp.1 = 127.0.0.1:${port}`,
          'management.tcp.ip = 127.0.0.1',
          `management.tcp.port = ${managementPort}`,
          'collect_statistics_interval = 200',
          ...this.configuration,
          '',
        ].join('\n'),
      ),
      // Quorum queues report their figures at this interval (ms); five seconds would make the tests wait.
      RABBITMQ_ADVANCED_CONFIG_FILE: file('advanced.config', '[{rabbit, [{quorum_tick_interval, 200}]}].\n'),
    };
  }
}

function install(): void {
  if (existsSync(BINARY)) return;
  installDebianPackage('rabbitmq-server');
  if (!existsSync(BINARY)) {
    throw new Error(
      `These tests need a RabbitMQ: set RABBITMQ_URL, install Debian's rabbitmq-server (${BINARY}), or run as root.`,
    );
  }
}
