import { randomInt } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';

const START_MS = 180_000;

/** Whatever ends this process ends the servers that it started, too. */
const running = new Set();
process.on('exit', () => running.forEach((server) => server.signal('SIGKILL')));

/** A server that only this run uses: it can be killed and started again over its data. */
export class PrivateServer {
  #ended = Promise.resolve();
  #child;

  /** `command`: program and arguments. `answers`: whether it serves by now. */
  constructor(name, { command, env, answers }) {
    this.name = name;
    this.command = command;
    this.env = env;
    this.answers = answers;
  }

  /** Resolves when it answers. */
  async start() {
    const [program, ...options] = this.command;
    // A group of its own: some are scripts that start the server as their child.
    const child = spawn(program, options, { env: this.env, stdio: 'ignore', detached: true });
    this.#child = child;
    this.#ended = once(child, 'exit');
    running.add(this);
    const until = Date.now() + START_MS;
    while (!(await this.answers())) {
      if (child.exitCode !== null) throw new Error(`${this.name} ended with code ${child.exitCode}`);
      if (Date.now() > until) throw new Error(`${this.name} did not answer within ${START_MS} ms`);
      await delay(50);
    }
  }

  async end(signal) {
    if (!running.has(this)) return;
    this.signal(signal);
    await this.#ended;
    running.delete(this);
  }

  signal(signal) {
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // It has ended already.
    }
  }
}

/** Below the ports that systems give to outgoing connections: one of those could take the port before it is used. */
const FIRST_PORT = 10_000;
const LAST_PORT = 32_000;

/** A port on which nothing listens; good for a process that is to be stopped and started again on it. */
export async function freePort() {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    const probe = createServer();
    const free = once(probe, 'listening').then(
      () => true,
      () => false,
    );
    probe.listen(port, '127.0.0.1');
    if (!(await free)) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
}
