import { writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { temporaryDataDir } from '../../test/support/data-dir.js';
import { chain, EMPTY_HEAD, entryToJson, type JournalEvent, sha256 } from '../domain/journal.js';
import { runProgram } from './program.js';

const SOURCE = {
  id: 's1',
  url: 'corpus:a.md',
  title: 'A',
  retrieved_at: '2026-01-15T12:00:00.000Z',
  sha256: '1'.repeat(64),
};
const EVENTS: JournalEvent[] = [
  { type: 'submitted', at: 1, data: { mandate: 'm', max_ticks: 5 } },
  {
    type: 'tick',
    at: 2,
    data: { tick: 1, action: 'EXIT', argument: 'Yes.', thought: 'Known.', model_calls: 2, prompt_tokens: 7 },
  },
  {
    type: 'finished',
    at: 3,
    data: {
      status: 'completed',
      answer_sha256: sha256('Yes.'),
      unticked: { model_calls: 1, prompt_tokens: 0, completion_tokens: 4 },
    },
  },
];
const JOURNAL = chain(EMPTY_HEAD, EVENTS);
const TASK = {
  correlation_id: 't1',
  status: 'completed',
  mandate: 'm',
  max_ticks: 5,
  tick: 1,
  result: {
    answer: 'Yes.',
    exit_reason: 'answered',
    sources: [] as unknown[],
    data: null,
    model: 'x',
    receipt: JOURNAL[2]?.hash,
  },
  error: null,
  usage: { ticks: 1, model_calls: 3, prompt_tokens: 7, completion_tokens: 4 },
};

describe('the command line', () => {
  let dataDir: ReturnType<typeof temporaryDataDir>;
  const servers: Server[] = [];
  beforeEach(() => {
    dataDir = temporaryDataDir();
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    dataDir.remove();
  });

  async function run(...argv: string[]) {
    const printed = { stdout: '', stderr: '' };
    const code = await runProgram(argv, {
      stdout: { write: (text) => (printed.stdout += text) },
      stderr: { write: (text) => (printed.stderr += text) },
      env: { EUGLENA_DATA_DIR: dataDir.path },
    });
    return { code, ...printed };
  }

  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** A gateway that cuts the stream of events after each entry, in the middle of the next. */
  function cuttingGateway(task: unknown = TASK): RequestListener {
    return (request, response) => {
      if (!request.url?.endsWith('/events')) {
        response.end(JSON.stringify(task));
        return;
      }
      const entry = JOURNAL[Number(request.headers['last-event-id'] ?? 0)];
      if (entry === undefined) {
        response.writeHead(204).end();
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const data = JSON.stringify(entryToJson(entry));
      response.write(`retry: 1\n\nid: ${entry.seq}\nevent: ${entry.type}\ndata: ${data}\n\nid: 99\nda`, () =>
        response.destroy(),
      );
    };
  }

  it.each([
    [[], 'Usage: euglena <command>'],
    [['fly'], 'there is no command "fly"'],
    [['toString'], 'there is no command "toString"'],
    [['ask'], 'the mandate is missing'],
    [['ask', 'two', 'words'], '"words" is one argument too many'],
    [['ask', 'm', '--max-ticks', '0'], '--max-ticks must be a whole number from 1'],
    [['ask', 'm', '--maximum'], "Unknown option '--maximum'"],
    [['up', '--rolle', 'all'], "Unknown option '--rolle'"],
    [['token', '--sub', 'me'], '--sub must be a uuid'],
    [['watch', 't1', '--url', 'ftp://x'], '--url must be an address'],
    [['extend', 't1'], '--ticks is missing'],
    [['extend', 't1', '--ticks', '200'], '--ticks must be a whole number from 1 to 199'],
  ])('refuses %j with exit code 2', async (argv, message) => {
    const { code, stdout, stderr } = await run(...argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain('Usage: euglena');
  });

  it('helps on stdout', async () => {
    expect(await run('--help')).toMatchObject({ code: 0, stderr: '' });
    expect((await run('verify', '--help')).stdout).toContain('Usage: euglena verify <task>');
    expect((await run('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('signs tokens for development', async () => {
    const { stdout } = await run('token', '--ttl', '60');
    const claims = JSON.parse(Buffer.from(stdout.split('.')[1] ?? '', 'base64url').toString());
    expect(claims.sub).toBe('00000000-0000-4000-8000-000000000001');
    expect(claims.exp - claims.iat).toBe(60);
  });

  it('follows a task over cut connections and prints its answer', async () => {
    const url = await serve(cuttingGateway());
    const { code, stdout, stderr } = await run('watch', 't1', '--url', url);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Yes.\n' });
    expect(stderr).toMatch(/^tick 1\/5 {2}EXIT {4}Known\.\nAnswered: 1 of 5 ticks/);
  });

  it('extends a task and prints its id', async () => {
    const asked: string[] = [];
    const url = await serve(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      asked.push(`${request.method} ${request.url} ${body}`);
      response.writeHead(202).end(JSON.stringify({ ...TASK, status: 'in_queue', result: null }));
    });
    const printed = await run('extend', 't1', '--ticks', '7', '--url', url);
    expect(printed).toEqual({ code: 0, stdout: 't1\n', stderr: '' });
    expect(asked).toEqual(['POST /tasks/t1/extend {"ticks":7}']);
  });

  it('says why a task has no answer', async () => {
    const error = { code: 'model_unavailable', message: 'The model\u001b[2J is away.' };
    const url = await serve(cuttingGateway({ ...TASK, status: 'error', result: null, error }));
    const { code, stdout, stderr } = await run('watch', 't1', '--url', url);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('euglena: The model is away. (model_unavailable)\n');
  });

  it('verifies a journal against its receipt', async () => {
    const url = await serve(cuttingGateway());
    const { code, stdout } = await run('verify', 't1', '--url', url);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `The chain of 3 entries holds.\nReceipt: ${JOURNAL[2]?.hash}\nTicks charged: 1\n`,
    });
  });

  it.each([
    ['answer', { ...TASK, result: { ...TASK.result, answer: 'No.' } }, 'not the one'],
    ['data', { ...TASK, result: { ...TASK.result, data: { a: 1 } } }, 'data is not what'],
    ['source', { ...TASK, result: { ...TASK.result, sources: [SOURCE] } }, 'source s1 is not one'],
    ['receipt', { ...TASK, result: { ...TASK.result, receipt: 'f'.repeat(64) } }, 'not the head'],
    ['mandate', { ...TASK, mandate: 'n' }, 'mandate is not the one'],
    ['status', { ...TASK, status: 'cancelled', result: null }, 'is cancelled, but'],
    ['charge', { ...TASK, usage: { ...TASK.usage, ticks: 9 } }, 'charges 9 ticks, but its journal has 1'],
    ['number of calls', { ...TASK, usage: { ...TASK.usage, model_calls: 2 } }, 'counts 2 model calls'],
    ['number of tokens', { ...TASK, usage: { ...TASK.usage, completion_tokens: 0 } }, 'journal has 4'],
    ['end', { ...TASK, status: 'in_progress' }, 'not ended yet'],
  ])('finds a wrong %s', async (_what, task, message) => {
    const url = await serve(cuttingGateway(task));
    const { code, stdout, stderr } = await run('verify', 't1', '--url', url);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(message);
  });

  it('saves what a receipt proves, to be checked without a gateway', async () => {
    const file = join(dataDir.path, 'saved.json');
    const url = await serve(cuttingGateway());
    const online = await run('verify', 't1', '--url', url, '--save', file);
    expect(online.code).toBe(0);
    expect(await run('verify', file, '--offline')).toEqual(online);
  });

  it('hands in a schema from a file, and says what is wrong with the file', async () => {
    const asked: string[] = [];
    const url = await serve(async (request, response) => {
      for await (const chunk of request) asked.push(String(chunk));
      response.writeHead(202).end(JSON.stringify({ ...TASK, status: 'in_queue', result: null }));
    });
    const file = join(dataDir.path, 'schema.json');
    const submit = () => run('submit', 'm', '--output-schema', file, '--url', url);
    expect((await submit()).stderr).toContain('cannot be read as JSON');
    writeFileSync(file, '[]');
    expect((await submit()).stderr).toContain('holds no JSON object');
    writeFileSync(file, '{"type":"object"}');
    expect(await submit()).toEqual({ code: 0, stdout: 't1\n', stderr: '' });
    expect(asked).toEqual(['{"mandate":"m","output_schema":{"type":"object"}}']);
  });

  it("shows the server's own reason", async () => {
    const url = await serve((_request, response) =>
      response.writeHead(422).end('{"detail":"No.","errors":[{"field":"mandate","message":"is empty"}]}'),
    );
    expect(await run('submit', 'm', '--url', url)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'euglena: No. mandate is empty\n',
    });
  });

  it('says how to start when nothing listens', async () => {
    const url = await serve(() => undefined);
    await new Promise((resolve) => servers.pop()?.close(resolve));
    const { code, stderr } = await run('watch', 't1', '--url', url);
    expect(code).toBe(1);
    expect(stderr).toBe(
      `euglena: Nothing listens at ${url}. Start a gateway with "euglena up", or name another one with --url.\n`,
    );
  });

  it('tells another server from a gateway', async () => {
    const url = await serve((_request, response) => response.end('<html>'));
    expect((await run('submit', 'm', '--url', url)).stderr).toContain(
      'does not speak like a Euglena gateway',
    );
  });
});
