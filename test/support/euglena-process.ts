import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Role } from '../../src/config/known-settings.js';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
/** A busy machine that starts several at once needs many times the usual two seconds. */
const START_LIMIT_MS = 60_000;
const BANNER = /^Euglena · role \S+ · (http:\/\/\S+)$/m;
/** What the tests' own surroundings may have set and a role would read. */
const SURROUNDINGS = ['PATH', 'HOME', 'TMPDIR'];

/** How a process ended: by itself with a code, or by a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A role in a process of its own that has not said `ready` yet, and perhaps never will. */
export interface LaunchedProcess {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** Resolves with `ready`. */
  readonly ready: Promise<true>;
  /** All that it wrote to stdout and stderr. */
  output(): string;
  /** Whether a line of its log is about this task and begins with `text`. */
  said(correlationId: string, text: string): boolean;
  /** All that it wrote to stderr. */
  errors(): string;
  signal(signal: NodeJS.Signals): void;
  /** Signals and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<Exit>;
}

/** A role in a process of its own that is ready. */
export interface EuglenaProcess extends LaunchedProcess {
  /** Where it listens. */
  readonly url: string;
}

/** Starts `node dist/main.js --role <role>` on a free port, unless `env` names one. */
export function launchEuglena(
  role: Role,
  dataDir: string,
  env: Readonly<Record<string, string>> = {},
): LaunchedProcess {
  const kept = SURROUNDINGS.map((name) => [name, process.env[name]]).filter(
    ([, value]) => value !== undefined,
  );
  const child = spawn(process.execPath, ['dist/main.js', '--role', role], {
    cwd: PROJECT,
    env: { ...Object.fromEntries(kept), HOST: '127.0.0.1', PORT: '0', ...env, EUGLENA_DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written: string[] = [];
  const errors: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => written.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    written.push(text);
    errors.push(text);
  });
  const exited = once(child, 'close').then(([code, signal]): Exit => ({ code, signal }));
  const ready = new Promise<true>((resolve) => {
    createInterface(child.stdout).on('line', (line) => line === 'ready' && resolve(true));
  });
  return {
    pid: child.pid ?? 0,
    exited,
    ready,
    output: () => written.join(''),
    said: (correlationId, text) =>
      written
        .join('')
        .split('\n')
        .some(
          (line) => line.includes(`"correlation_id":"${correlationId}"`) && line.includes(`"msg":"${text}`),
        ),
    errors: () => errors.join(''),
    signal: (signal) => void child.kill(signal),
    kill: (signal) => {
      child.kill(signal);
      return exited;
    },
  };
}

/** Waits until a launched role says `ready`. Fails with its output when it ends before, or is not ready in 60 seconds. */
export async function startEuglena(
  role: Role,
  dataDir: string,
  env: Readonly<Record<string, string>> = {},
): Promise<EuglenaProcess> {
  const launched = launchEuglena(role, dataDir, env);
  const late = setTimeout(() => launched.signal('SIGKILL'), START_LIMIT_MS);
  const started = await Promise.race([launched.ready, launched.exited.then(() => false)]);
  clearTimeout(late);
  const url = BANNER.exec(launched.output())?.[1];
  if (!started || url === undefined) {
    await launched.kill('SIGKILL');
    throw new Error(`role ${role} did not start:\n${launched.output()}`);
  }
  return { ...launched, url };
}
