import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type Dockerfile } from './dockerfile.js';
import { freePort } from './free-port.js';
import { type StagedImage } from './staged-image.js';

const START_LIMIT_MS = 60_000;

export interface ContainerOptions {
  /** Over what the image sets. */
  readonly env: Readonly<Record<string, string>>;
  /** What would stand after the image's name. */
  readonly args?: readonly string[];
}

/** The main process of an image, without a container around it. */
export interface StagedContainer {
  readonly url: string;
  output(): string;
  /** Runs the image's health check; its exit code. */
  checkHealth(): Promise<number>;
  /** Runs a command in it, as `docker compose exec` does; its standard output. */
  exec(...command: string[]): Promise<string>;
  /** Sends SIGTERM; the exit code. */
  stop(): Promise<number | null>;
  kill(): Promise<void>;
}

/**
 * Starts what the image starts, in its folder, with the image's environment and this one, on a free port of the loopback.
 * Resolves when it says `ready`; fails with its output when it ends before, or is not ready in a minute.
 */
export async function startContainer(
  dockerfile: Dockerfile,
  { root }: StagedImage,
  { env, args = [] }: ContainerOptions,
): Promise<StagedContainer> {
  const place = { HOST: '127.0.0.1', PORT: String(await freePort()) };
  const whole = { PATH: process.env['PATH'], ...dockerfile.environment, ...env, ...place };
  const [program, ...rest] = [...dockerfile.entryPoint, ...args].map(asHere);
  const child = spawn(program ?? '', rest, { cwd: root, env: whole, stdio: ['ignore', 'pipe', 'pipe'] });
  const written: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => written.push(text));
  }
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const ready = new Promise<true>((resolve) => {
    createInterface(child.stdout).on('line', (line) => line === 'ready' && resolve(true));
  });
  const late = setTimeout(() => child.kill('SIGKILL'), START_LIMIT_MS);
  const started = await Promise.race([ready, ended.then(() => false)]);
  clearTimeout(late);
  const output = () => written.join('');
  if (!started) throw new Error(`${dockerfile.name} ${args.join(' ')} did not start:\n${output()}`);
  const end = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return ended;
  };
  return {
    url: `http://127.0.0.1:${place.PORT}`,
    output,
    checkHealth: async () => (await run(dockerfile.healthCheck, root, whole)).code,
    exec: async (...command) => (await run(command, root, whole)).stdout,
    stop: () => end('SIGTERM'),
    kill: async () => void (await end('SIGKILL')),
  };
}

/** Runs a command to its end. */
export function run(
  command: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<{ code: number; stdout: string }> {
  const [program = '', ...args] = command.map(asHere);
  return new Promise((resolve) => {
    const child = execFile(program, args, { cwd, env }, (_error, stdout) =>
      resolve({ code: child.exitCode ?? -1, stdout }),
    );
  });
}

/** The image's Node is the one that runs the tests. */
function asHere(word: string, index: number): string {
  return index === 0 && word === 'node' ? process.execPath : word;
}
