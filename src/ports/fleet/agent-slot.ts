import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type Readable } from 'node:stream';
import { Logger } from '@nestjs/common';
import { type Clock } from '../../domain/clock.js';

export interface AgentSlotOptions {
  /** The program and its arguments. */
  readonly command: readonly [string, ...string[]];
  /** The whole environment of the process. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** How long a process that was asked to end may take, in ms, before it is killed. */
  readonly stopGraceMs: number;
}

/** A process that ends before this age, in ms, died young, and each such death doubles the wait for the next start. */
const YOUNG_MS = 30_000;
const RESTART_MIN_MS = 1_000;
const RESTART_MAX_MS = 30_000;
const LINE_MAX_CHARS = 2_000;

/**
 * One place in the fleet: keeps one agent process running until it is drained. A process that ends unasked is started
 * again, at most once per second, and after early deaths ever more slowly, up to every 30 s.
 *
 * The process has an IPC channel to this one. It closes when this process ends, however it ends, and the agent takes its
 * `disconnect` as the order to drain: no agent outlives its fleet.
 */
export class AgentSlot {
  /** Resolves when the slot is drained and its process is gone. */
  readonly ended: Promise<void>;
  private readonly stop = new AbortController();
  private readonly logger = new Logger('Fleet');
  private child: ChildProcess | null = null;
  private deaths = 0;

  constructor(private readonly options: AgentSlotOptions) {
    this.ended = this.run();
  }

  /** Null while no process runs. */
  get pid(): number | null {
    return this.child?.pid ?? null;
  }

  get draining(): boolean {
    return this.stop.signal.aborted;
  }

  /** Deaths in a row that came early. */
  get earlyDeaths(): number {
    return this.deaths;
  }

  /** Asks the process to finish or hand back its work and end. Doing it twice is doing it once. */
  drain(): Promise<void> {
    this.stop.abort();
    return this.ended;
  }

  private async run(): Promise<void> {
    while (!this.draining) {
      const startedAt = this.options.clock.now();
      const end = await this.live().catch((error: unknown) => `it cannot be started: ${String(error)}`);
      if (this.draining) return;
      this.deaths = this.options.clock.now() - startedAt < YOUNG_MS ? this.deaths + 1 : 0;
      const waitMs = Math.min(RESTART_MAX_MS, RESTART_MIN_MS * 2 ** Math.max(0, this.deaths - 1));
      this.logger.warn(`an agent ended unasked (${end}); another starts in ${waitMs / 1_000} s`);
      await this.options.clock.sleep(waitMs, this.stop.signal).catch(() => undefined);
    }
  }

  /** One process from start to end; answers how it ended. */
  private async live(): Promise<string> {
    const [program, ...args] = this.options.command;
    const child = spawn(program, args, {
      env: this.options.env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.child = child;
    const lastWords = this.relay(child);
    const exit = new Promise<string>((resolve) => {
      child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code ?? 'unknown'}`));
      child.on('error', (error) => {
        if (child.pid === undefined) resolve(`it cannot be started: ${error.message}`);
      });
    });
    const end = () => void this.end(child, exit);
    this.stop.signal.addEventListener('abort', end, { once: true });
    const how = await exit;
    this.stop.signal.removeEventListener('abort', end);
    this.child = null;
    const words = lastWords();
    return words === '' ? how : `${how}: ${words}`;
  }

  private async end(child: ChildProcess, exit: Promise<string>): Promise<void> {
    child.kill('SIGTERM');
    const gone = new AbortController();
    void exit.then(() => gone.abort());
    try {
      await this.options.clock.sleep(this.options.stopGraceMs, gone.signal);
    } catch {
      return; // It ended in time.
    }
    this.logger.warn(
      `agent ${child.pid ?? ''} did not end within ${this.options.stopGraceMs / 1_000} s; it is killed`,
    );
    child.kill('SIGKILL');
  }

  /** Passes the output on to the log; answers a way to ask for the last line of standard error. */
  private relay(child: ChildProcess): () => string {
    let last = '';
    this.eachLine(child.stdout, (line) => this.logger.debug(`agent ${child.pid ?? ''}: ${line}`));
    this.eachLine(child.stderr, (line) => {
      last = line;
      this.logger.debug(`agent ${child.pid ?? ''}: ${line}`);
    });
    return () => last;
  }

  private eachLine(stream: Readable | null, take: (line: string) => void): void {
    if (!stream) return; // A process that could not be started may have none.
    const lines = createInterface({ input: stream, crlfDelay: Infinity });
    lines.on('line', (line) => {
      if (line.trim() !== '') take(line.slice(0, LINE_MAX_CHARS));
    });
  }
}
