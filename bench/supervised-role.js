import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';

const MAIN = join(import.meta.dirname, '../dist/main.js');
const START_MS = 180_000;
const RESTART_MS = 500;
const { setTimeout, clearTimeout } = globalThis;

/** Whatever ends this process ends the roles that it started, too. */
const running = new Set();
process.on('exit', () => running.forEach((role) => role.signal('SIGKILL')));

/** One role of the built product in a process of its own, started again whenever it ends, as a platform would. */
export class SupervisedRole {
  #child;
  #stopping = false;
  #expected = false;
  #ready = false;
  #waiting = [];
  #giveUp;
  #tail = '';
  /** Ends that nobody asked for, after the role was ready: each with its last words. */
  crashes = [];
  /** Starts that failed. */
  failedStarts = 0;

  /** `logs`: a folder for what the process writes, or undefined. */
  constructor(name, role, { env, cwd, logs }) {
    this.name = name;
    this.role = role;
    this.env = env;
    this.cwd = cwd;
    this.log = logs === undefined ? undefined : createWriteStream(join(logs, `${name}.log`));
  }

  get pid() {
    return this.#child?.pid;
  }

  /** Resolves when it says that it is ready; rejects when it cannot even start for the first time. */
  async start() {
    running.add(this);
    const failed = new Promise((_, reject) => (this.#giveUp = reject));
    void this.#supervise();
    await Promise.race([this.ready(), failed]);
    this.#giveUp = undefined;
  }

  ready() {
    if (this.#ready) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Ends it, after which it starts again. Resolves when it has ended. */
  async end(signal) {
    this.#expected = true;
    const ended = once(this.#child, 'exit');
    this.signal(signal);
    await ended;
  }

  signal(signal) {
    this.#child?.kill(signal);
  }

  /** Ends it for good. */
  async stop() {
    this.#stopping = true;
    running.delete(this);
    if (this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null) {
      await this.end('SIGKILL');
    }
    this.log?.end();
  }

  async #supervise() {
    while (!this.#stopping) {
      const child = this.#launch();
      const late = setTimeout(() => !this.#ready && child.kill('SIGKILL'), START_MS);
      const [code, signal] = await once(child, 'exit');
      clearTimeout(late);
      if (!this.#expected && this.#ready) this.crashes.push(`code ${code}, signal ${signal}: ${this.#tail}`);
      else if (!this.#expected) this.failedStarts += 1;
      this.#giveUp?.(new Error(`${this.name} did not start: ${this.#tail}`));
      this.#ready = false;
      await delay(RESTART_MS);
    }
  }

  #launch() {
    this.#expected = false;
    this.#tail = '';
    const child = spawn(process.execPath, [MAIN, '--role', this.role], {
      cwd: this.cwd,
      env: this.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.log?.write(`--- ${new Date().toISOString()} pid ${child.pid}\n`);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => this.#hear(child, text));
    }
    return child;
  }

  #hear(child, text) {
    this.log?.write(text);
    const heard = this.#tail + text;
    this.#tail = heard.slice(-1_000);
    if (this.#ready || child !== this.#child || !/^ready$/m.test(heard)) return;
    this.#ready = true;
    this.#waiting.splice(0).forEach((resolve) => resolve());
  }
}
