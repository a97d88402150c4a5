import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { PORT_NAMES, ROLES } from '../../src/config/known-settings.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { eventually } from '../support/eventually.js';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/m;

const folder = temporaryDataDir();
const dataDir = join(folder.path, 'data');
const running = new Map<ChildProcess, Promise<unknown[]>>();

afterEach(async () => {
  for (const [child, exit] of running) {
    child.kill('SIGTERM');
    await exit;
  }
  running.clear();
});
afterAll(() => folder.remove());

/** A role in a process of its own, with nothing of this process's settings, on a free port of the loopback. */
function start(env: Record<string, string>, ...args: string[]) {
  const { PATH, HOME } = process.env;
  const own = { PATH, HOME, EUGLENA_DATA_DIR: dataDir, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'warn' };
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder.path, env: { ...own, ...env } });
  const written = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (written.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (written.stderr += text));
  const closed = once(child, 'close');
  running.set(child, closed);
  return { child, written, closed };
}

/** Starts a role that must not start, and answers what it said. */
async function refusal(env: Record<string, string>, ...args: string[]): Promise<string> {
  const { written, closed } = start(env, ...args);
  const [code] = (await closed) as [number | null];
  expect(code).toBe(1);
  expect(written.stdout).not.toContain('Euglena');
  expect(written.stderr).toMatch(/^Euglena did not start\. /);
  expect(written.stderr).not.toMatch(/^\s+at /m);
  return written.stderr;
}

/** Starts a role and answers its banner and where it listens. */
async function ready(env: Record<string, string>, ...args: string[]) {
  const { child, written, closed } = start(env, ...args);
  await eventually(
    `ready: ${written.stderr}`,
    () => child.exitCode !== null || written.stdout.endsWith('\nready\n'),
    25_000,
  );
  const url = / · (http:\/\/127\.0\.0\.1:\d+)\n/.exec(written.stdout)?.[1] ?? written.stderr;
  return { child, banner: written.stdout, url, closed };
}

const statusOf = async (url: string) => (await fetch(url)).status;

/** Runs a printed command in a shell; where there is no curl, sends what the command would. */
async function runCurl(command: string): Promise<unknown> {
  const shell = spawn('sh', ['-c', command]);
  let output = '';
  shell.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = (await once(shell, 'close')) as [number];
  if (code !== 127) return JSON.parse(output);
  const headers = [...command.matchAll(/-H '([^:]+): ([^']+)'/g)].map((match) => [match[1], match[2]]);
  const url = /curl -sS (\S+)/.exec(command)?.[1] ?? '';
  const body = /-d '([^']+)'/.exec(command)?.[1] ?? '';
  return (await fetch(url, { method: 'POST', headers: Object.fromEntries(headers), body })).json();
}

describe('a role refuses to start', () => {
  it('when there is no such role', async () => {
    const said = await refusal({}, '--role', 'wizard');
    expect(said).toContain('EUGLENA_ROLE: must be one of: gateway, agent, metrics, autoscaler, all');
  });

  it('when there is no such flag', async () => {
    expect(await refusal({}, '--roll', 'all')).toContain('--roll');
  });

  it('with everything that is wrong in one list, and leaves nothing behind', async () => {
    const said = await refusal({
      EUGLENA_ROLE: 'wizard',
      PORT: '99999',
      MIN_WORKERS: 'many',
      REDIS_URL: 'http://127.0.0.1',
      SUPABASE_JWT_SECRET: 'too-short-to-sign-with',
    });
    for (const name of ['EUGLENA_ROLE', 'PORT', 'MIN_WORKERS', 'REDIS_URL', 'SUPABASE_JWT_SECRET']) {
      expect(said).toMatch(new RegExp(`^ {2}- ${name}: `, 'm'));
    }
    expect(said).not.toContain('too-short-to-sign-with');
    expect(existsSync(dataDir)).toBe(false);
  });

  it('when its port is taken, and says which setting moves it', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const said = await refusal({ PORT: String(port) }).finally(() => other.close());
    expect(said).toContain(`Port ${port} on 127.0.0.1 is taken.`);
    expect(said).toContain('set PORT');
  });

  it('when its data folder cannot be made, and names the folder', async () => {
    const file = join(folder.path, 'a-file');
    writeFileSync(file, '');
    const metrics = await refusal({ EUGLENA_DATA_DIR: join(file, 'data') }, '--role', 'metrics');
    expect(metrics).toContain(`The data folder ${join(file, 'data')} cannot be used`);
    // The first to use the folder here is the identity's secret, which lies in it.
    const all = await refusal({ EUGLENA_DATA_DIR: join(file, 'data') });
    expect(all).toMatch(new RegExp(`${join(file, 'data')}\\S* cannot be used`));
  });

  it('in production without engines, and names each port that would be embedded', async () => {
    const production = join(folder.path, 'production');
    const said = await refusal({ NODE_ENV: 'production', EUGLENA_DATA_DIR: production });
    for (const port of PORT_NAMES) expect(said).toMatch(new RegExp(`^ {2}- ${port}: `, 'm'));
    expect(said).toContain('EUGLENA_ALLOW_EMBEDDED');
    expect(existsSync(production)).toBe(false);
  });
});

describe('a role starts', () => {
  it('in production with every embedded adapter allowed, and prints no token', async () => {
    const { url, banner } = await ready({
      NODE_ENV: 'production',
      EUGLENA_ALLOW_EMBEDDED: PORT_NAMES.join(','),
    });
    expect(await statusOf(`${url}/health`)).toBe(200);
    expect(banner).not.toMatch(TOKEN);
  });

  it('as the role that the flag names, whatever the environment says', async () => {
    const { banner } = await ready({ EUGLENA_ROLE: 'gateway' }, '--role', 'metrics');
    expect(banner).toContain('role metrics');
  });

  it.each(ROLES)('as %s, and is healthy', async (role) => {
    const { url, banner, child, closed } = await ready({}, '--role', role);
    expect(banner).toContain(`role ${role} · ${url}\n`);
    expect(await statusOf(`${url}/health`)).toBe(200);
    child.kill('SIGTERM');
    expect((await closed)[0]).toBe(0);
  });

  it('with a banner that says how to try it', async () => {
    const { url, banner } = await ready({});
    expect(banner).toContain(`role all · ${url}\n`);
    const adapters = /^adapters: (.*)$/m.exec(banner)?.[1] ?? '';
    expect(adapters.split(', ').map((choice) => choice.split(' = ')[0])).toEqual(
      expect.arrayContaining([...PORT_NAMES]),
    );
    const token = TOKEN.exec(banner)?.[0] ?? '';
    expect(token).not.toBe('');

    const command = /^curl -sS .*\\\n.*$/m.exec(banner)?.[0] ?? '';
    const task = (await runCurl(command)) as { correlation_id: string; max_ticks: number };
    expect(task).toMatchObject({ max_ticks: 12 });
    const path = `${url}/tasks/${task.correlation_id}`;
    const ended = async () => {
      const response = await fetch(path, { headers: { authorization: `Bearer ${token}` } });
      return ((await response.json()) as { status: string }).status === 'completed';
    };
    await eventually('the task of the printed command completes', ended);
    for (const page of ['/', '/docs', '/openapi.json']) expect(await statusOf(`${url}${page}`)).toBe(200);
  });
});
