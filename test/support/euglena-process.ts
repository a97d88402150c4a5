import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Role } from '../../src/config/settings.js';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const START_LIMIT_MS = 20_000;
const BANNER = /^Euglena · role \S+ · (http:\/\/\S+)$/m;
/** What the tests' own surroundings may have set and a role would read. */
const SURROUNDINGS = ['PATH', 'HOME', 'TMPDIR'];

/** How a process ended: by itself with a code, or by a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A role in a process of its own. */
export interface EuglenaProcess {
  /** Where it listens. */
  readonly url: string;
  readonly exited: Promise<Exit>;
  /** All that it wrote to stdout and stderr. */
  output(): string;
  signal(signal: NodeJS.Signals): void;
  /** Signals and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<Exit>;
}

/**
 * Starts `node dist/main.js --role <role>` on a free port and waits until it says `ready`. Fails with its output when it
 * ends before, or is not ready in 20 seconds.
 */
export async function startEuglena(
  role: Role,
  dataDir: string,
  env: Readonly<Record<string, string>> = {},
): Promise<EuglenaProcess> {
  const kept = SURROUNDINGS.map((name) => [name, process.env[name]]).filter(
    ([, value]) => value !== undefined,
  );
  const child = spawn(process.execPath, ['dist/main.js', '--role', role], {
    cwd: PROJECT,
    env: { ...Object.fromEntries(kept), HOST: '127.0.0.1', PORT: '0', ...env, EUGLENA_DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written: string[] = [];
  const output = () => written.join('');
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => written.push(text));
  }
  const exited = once(child, 'close').then(([code, signal]): Exit => ({ code, signal }));
  const kill = (signal: NodeJS.Signals): Promise<Exit> => {
    child.kill(signal);
    return exited;
  };
  const ready = new Promise<true>((resolve) => {
    createInterface(child.stdout).on('line', (line) => line === 'ready' && resolve(true));
  });
  const late = setTimeout(() => child.kill('SIGKILL'), START_LIMIT_MS);
  const started = await Promise.race([ready, exited.then(() => false)]);
  clearTimeout(late);
  const url = BANNER.exec(output())?.[1];
  if (!started || url === undefined) {
    await kill('SIGKILL');
    throw new Error(`role ${role} did not start:\n${output()}`);
  }
  return { url, exited, output, signal: (signal) => void child.kill(signal), kill };
}
