import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { temporaryDataDir } from '../support/data-dir.js';
import { eventually } from '../support/eventually.js';

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const QUESTION = 'How does Euglena decide how many agents to run?';
const CONTROL_SEQUENCE = '\u001b[';

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const dataDir = temporaryDataDir();
afterAll(() => dataDir.remove());

/** The command line program in a folder of its own, with nothing of this process's settings. */
function start(...args: string[]) {
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME, EUGLENA_DATA_DIR: dataDir.path, HOST: '127.0.0.1', PORT: '0' };
  const child = spawn(process.execPath, [CLI, ...args], { cwd: dataDir.path, env });
  const written = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (written.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (written.stderr += text));
  return { child, written, closed: once(child, 'close') as Promise<[number | null]> };
}

async function euglena(...args: string[]): Promise<Ended> {
  const { closed, written } = start(...args);
  const [code] = await closed;
  return { code, ...written };
}

describe('euglena ask', () => {
  it('answers from the documents with sources, the same each time', async () => {
    const first = await euglena('ask', QUESTION);
    expect(first).toMatchObject({ code: 0 });
    expect(first.stdout).toContain('corpus:docs/scaling.md');
    expect(first.stdout).toMatch(/ \[s\d+\]\n/);
    expect(first.stderr).toMatch(/^tick 1\/12 {2}SEARCH /);
    expect(first.stderr).toMatch(/\ntick \d+\/12 {2}EXIT /);
    expect(first.stdout + first.stderr).not.toContain(CONTROL_SEQUENCE);
    const second = await euglena('ask', QUESTION);
    expect(second).toMatchObject({ code: 0, stdout: first.stdout });
  });

  it('prints the whole task as JSON, and nothing else', async () => {
    const { code, stdout, stderr } = await euglena('ask', QUESTION, '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const task = JSON.parse(stdout) as { status: string; result: { sources: { url: string }[] } };
    expect(task.status).toBe('completed');
    expect(task.result.sources.map(({ url }) => url)).toContain('corpus:docs/scaling.md');
  });

  it('answers within a budget of one tick', async () => {
    const { code, stdout, stderr } = await euglena('ask', QUESTION, '--max-ticks', '1');
    expect(code).toBe(0);
    expect(stdout.trim()).not.toBe('');
    expect(stderr).toContain('Best known when the budget ended: 1 of 1 ticks');
  });

  it('explains itself when called wrongly', async () => {
    expect(await euglena('ask')).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('the commands for a gateway that runs', () => {
  let server: ReturnType<typeof start>;
  let url: string;

  beforeAll(async () => {
    server = start('up', '--role', 'all');
    await eventually('the role is ready', () => server.written.stdout.includes('\nready\n'), 25_000);
    url = /http:\/\/127\.0\.0\.1:\d+/.exec(server.written.stdout)?.[0] ?? '';
  });
  afterAll(async () => {
    server.child.kill('SIGTERM');
    await server.closed;
  });

  it('hand a mandate in, watch it and check its receipt', async () => {
    const user = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
    const issued = await euglena('token', '--sub', user, '--ttl', '600');
    expect(issued).toMatchObject({ code: 0, stderr: '' });
    const access = ['--url', url, '--token', issued.stdout.trim()];

    const submitted = await euglena('submit', QUESTION, '--max-ticks', '12', ...access);
    expect(submitted).toMatchObject({ code: 0, stderr: '' });
    const id = submitted.stdout.trim();
    expect(id).toMatch(/^[0-9a-f-]{36}$/);

    const watched = await euglena('watch', id, ...access);
    expect(watched.code).toBe(0);
    expect(watched.stdout).toContain('corpus:docs/scaling.md');
    expect(watched.stderr).toMatch(/tick 1\/12 {2}SEARCH /);

    const verified = await euglena('verify', id, ...access);
    expect(verified).toMatchObject({ code: 0, stderr: '' });
    expect(verified.stdout).toContain('entries holds');
  });

  it("do not show a stranger's task", async () => {
    const submitted = await euglena('submit', QUESTION, '--max-ticks', '1', '--url', url);
    expect(submitted.code).toBe(0);
    const other = await euglena('token', '--sub', 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb');
    const access = ['--url', url, '--token', other.stdout.trim()];
    const watched = await euglena('watch', submitted.stdout.trim(), ...access);
    expect(watched).toMatchObject({ code: 1, stdout: '' });
  });
});
