import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { temporaryDataDir } from '../data-dir.js';
import { eventually } from '../eventually.js';
import { freePort } from '../free-port.js';
import { installDebianPackage } from './debian-package.js';

const PLACES = ['/usr/bin/redis-server', '/usr/local/bin/redis-server'];

export interface RedisServer {
  readonly url: string;
  /** Ends the server and removes its data. */
  stop(): Promise<void>;
}

/** A server that only the test uses. Every write is on disk (AOF) before it is answered. */
export interface PrivateRedisServer extends RedisServer {
  /** Ends the server as a crash would, unless it is down already, and starts it again over its data. */
  restart(): Promise<void>;
  /** Ends the server as a crash would. Its port stays refused until {@link restart}. */
  kill(): Promise<void>;
  /** Lets the server answer nothing, without a word, until `resume`. */
  pause(): void;
  resume(): void;
}

/** The server that REDIS_URL names, which is left running; else a private one. */
export async function startRedis(): Promise<RedisServer> {
  const url = process.env.REDIS_URL;
  return url === undefined || url === '' ? startPrivateRedis() : { url, stop: async () => undefined };
}

/** A private server, with these command-line options of `redis-server` besides. */
export async function startPrivateRedis(...options: string[]): Promise<PrivateRedisServer> {
  const program = findProgram();
  const dataDir = temporaryDataDir();
  const port = await freePort();
  let child: ChildProcess;
  const start = async () => {
    const own = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dataDir.path, '--save', ''];
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always'];
    child = spawn(program, [...own, ...durable, ...options], { stdio: 'ignore' });
    await eventually(`redis-server on port ${port}`, () => answers(port));
  };
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}/0`,
    stop: async () => {
      await end();
      dataDir.remove();
    },
    restart: async () => {
      await end();
      await start();
    },
    kill: end,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
  };
}

function findProgram(): string {
  const found = () => PLACES.find((place) => existsSync(place));
  if (found() === undefined) installDebianPackage('redis-server');
  const program = found();
  if (program === undefined) {
    throw new Error(
      'These tests need Redis: set REDIS_URL, or install redis-server (Debian: apt-get install redis-server).',
    );
  }
  return program;
}

/** Whether Redis answers a PING, be it with a demand for a password. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.on('data', (data) => {
      resolve(!data.toString().startsWith('-LOADING'));
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}
