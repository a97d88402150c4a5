import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RunningRole, startRole } from '../../src/boot/start-role.js';
import { readSettings } from '../../src/config/settings.js';
import { systemClock } from '../../src/config/system-clock.js';
import { runProgram } from '../../src/cli/program.js';
import { issueLocalToken } from '../../src/ports/identity/local-secret.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { eventually } from '../support/eventually.js';
import { type ModelScript, type ModelServer, startModelServer } from '../support/model-server.js';

const MODEL_NAME = 'small-model-1';
const USER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';

interface Task {
  readonly correlation_id: string;
  readonly status: string;
  readonly tick: number;
  readonly max_ticks: number;
  readonly result: {
    answer: string;
    exit_reason: string;
    model: string;
    unsupported: string[];
    data: unknown;
    data_error: string | null;
  } | null;
  readonly error: { code: string; message: string } | null;
  readonly usage: { ticks: number; model_calls?: number };
}

const dataDir = temporaryDataDir();
let script: ModelScript;
let model: ModelServer;
let role: RunningRole;
let headers: Record<string, string>;
let token: string;
const ended = new Map<string, number>();

beforeAll(async () => {
  model = await startModelServer({ script: (call) => script(call) });
  role = await startRole(
    readSettings({
      EUGLENA_ROLE: 'all',
      EUGLENA_DATA_DIR: dataDir.path,
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_LEVEL: 'silent',
      MODEL_API_URL: model.url,
      MODEL_NAME,
      OPENAI_API_KEY: 'key-of-the-model',
      DAILY_TICK_LIMIT: '10000',
    }),
  );
  token = await issueLocalToken({
    dataDir: dataDir.path,
    subject: USER,
    ttlSeconds: 600,
    clock: systemClock,
  });
  headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
});
afterAll(async () => {
  await role.close();
  await model.close();
  dataDir.remove();
});

/** Hands a mandate in, lets the model say what `says` says (from 1 for each task), and answers how the task ended. */
async function outcome(
  says: (call: number, body: string) => ReturnType<ModelScript>,
  {
    maxTicks = 6,
    timeoutMs = 15_000,
    schema,
  }: { maxTicks?: number; timeoutMs?: number; schema?: object } = {},
): Promise<{ task: Task; calls: number }> {
  const before = model.calls.length;
  script = ({ callNumber, body }) => says(callNumber - before, JSON.stringify(body));
  const submitted = await fetch(`${role.url}/tasks`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ mandate: 'What is Euglena?', max_ticks: maxTicks, output_schema: schema }),
  });
  expect(submitted.status).toBe(202);
  const { correlation_id: id } = (await submitted.json()) as Task;
  const end = async () => {
    const task = (await (await fetch(`${role.url}/tasks/${id}`, { headers })).json()) as Task;
    return ['completed', 'error', 'cancelled'].includes(task.status) ? task : null;
  };
  const task = await eventually('the task ends', end, timeoutMs);
  ended.set(id, task.usage.ticks);
  return { task, calls: model.calls.length - before };
}

describe('a task whose model is a server', () => {
  it('is driven by what the server says, and names the model in its result', async () => {
    const bodies: string[] = [];
    const { task } = await outcome((call, body) => {
      bodies.push(body);
      if (call === 1) return { action: 'SEARCH', argument: 'Euglena agents' };
      if (call === 2) return { action: 'VISIT', argument: 'corpus:docs/scaling.md' };
      return { action: 'EXIT', argument: 'Euglena runs agents [s1].' };
    });
    expect(task).toMatchObject({ status: 'completed', error: null, tick: 3, usage: { ticks: 3 } });
    expect(task.result).toMatchObject({
      answer: 'Euglena runs agents [s1].',
      exit_reason: 'answered',
      model: MODEL_NAME,
      sources: [{ id: 's1', url: 'corpus:docs/scaling.md' }],
    });
    expect(bodies[0]).toContain('What is Euglena?');
    expect(bodies[1]).toContain('corpus:docs/scaling.md');
    expect(model.calls.at(-1)?.headers.authorization).toBe('Bearer key-of-the-model');
    expect(model.calls.at(-1)?.body.model).toBe(MODEL_NAME);
  });

  it('waits as told when the server is busy, and is charged for one tick', async () => {
    const { task, calls } = await outcome((call) =>
      call <= 2
        ? { status: 429, headers: { 'retry-after': String(call - 1) } }
        : { action: 'EXIT', argument: 'done' },
    );
    expect(calls).toBe(3);
    expect(task).toMatchObject({ status: 'completed', tick: 1, result: { answer: 'done' } });
  });

  it('survives faults of the server that pass', async () => {
    const { task, calls } = await outcome((call) =>
      call <= 2 ? { status: 500 } : { action: 'EXIT', argument: 'done' },
    );
    expect(calls).toBe(3);
    expect(task).toMatchObject({ status: 'completed', tick: 1, result: { answer: 'done' } });
  });

  it('ends at once when the server refuses the key, and says nothing of the key', async () => {
    const body = { error: { message: 'Incorrect API key provided: key-of-the-model' } };
    const { task, calls } = await outcome(() => ({ status: 401, body }));
    expect(calls).toBe(1);
    expect(task).toMatchObject({ status: 'error', result: null, error: { code: 'model_rejected' } });
    expect(JSON.stringify(task)).not.toContain('key-of-the-model');
  });

  it('ends after three ticks of prose, each corrected once', async () => {
    const { task, calls } = await outcome(() => ({ text: 'I would rather chat about the weather.' }));
    expect(calls).toBe(6);
    expect(task).toMatchObject({
      status: 'error',
      tick: 3,
      usage: { ticks: 3 },
      error: { code: 'model_unparseable' },
    });
  });

  it('gives the best known answer when the model never leaves', async () => {
    const { task } = await outcome((call) => ({ action: 'THINK', argument: `thought ${call}` }));
    expect(task).toMatchObject({ status: 'completed', tick: 6, max_ticks: 6 });
    expect(task.result).toMatchObject({ exit_reason: 'max_ticks', model: MODEL_NAME });
    expect(task.result?.answer).not.toBe('');
  });

  it('gives up on a storm of 429, and charges nothing', async () => {
    const { task, calls } = await outcome(() => ({ status: 429, headers: { 'retry-after': '0' } }));
    expect(calls).toBe(5);
    expect(task).toMatchObject({ status: 'error', tick: 0, error: { code: 'model_unavailable' } });
    expect(task.usage).toMatchObject({ ticks: 0, model_calls: 5 });
  });

  it('makes a model that runs in a circle leave', async () => {
    const { task } = await outcome(() => ({ action: 'SEARCH', argument: 'Euglena' }), { maxTicks: 50 });
    expect(task).toMatchObject({ status: 'completed', tick: 6, result: { exit_reason: 'max_ticks' } });
  });

  it('ends cleanly when the model declines', async () => {
    const { task, calls } = await outcome(() => ({ refusal: 'I cannot help with that.' }));
    expect(calls).toBe(1);
    expect(task).toMatchObject({ status: 'error', tick: 0, error: { code: 'model_refused' } });
    expect(JSON.stringify(task)).not.toContain('cannot help');
  });

  it('ends cleanly when the mandate is too long for the model', async () => {
    const body = { error: { code: 'context_length_exceeded', message: 'too long' } };
    const { task } = await outcome(() => ({ status: 400, body }));
    expect(task).toMatchObject({ status: 'error', tick: 0, error: { code: 'model_context_exceeded' } });
  });

  it('cites nothing that was not read', async () => {
    const { task, calls } = await outcome(() => ({ action: 'EXIT', argument: 'It is so [s4].' }));
    expect(calls).toBe(2);
    expect(task.result).toMatchObject({ answer: 'It is so.', unsupported: ['It is so.'] });
  });

  it('has data that follows its schema, or says why not', async () => {
    const schema = { type: 'object', properties: { roles: { type: 'integer' } }, required: ['roles'] };
    const saying = (data: object) =>
      outcome(() => ({ text: JSON.stringify({ action: 'EXIT', argument: 'Five.', data }) }), { schema });
    expect((await saying({ roles: 5 })).task.result).toMatchObject({ data: { roles: 5 }, data_error: null });
    const { task } = await saying({ roles: 'five' });
    expect(task).toMatchObject({ status: 'completed', result: { answer: 'Five.', data: null } });
    expect(task.result?.data_error).toContain('#/roles');
  });

  it('has a receipt that holds, however it ended, and the ledger charges what the journals hold', async () => {
    expect(ended.size).toBeGreaterThan(10);
    let charged = 0;
    for (const [id, ticks] of ended) {
      let printed = '';
      const stdout = { write: (text: string) => (printed += text) };
      const env = { EUGLENA_TOKEN: token };
      const code = await runProgram(['verify', id, '--url', role.url], { stdout, stderr: stdout, env });
      expect({ code, printed }).toEqual({
        code: 0,
        printed: expect.stringContaining(`Ticks charged: ${ticks}\n`),
      });
      charged += ticks;
    }
    const used = async () => {
      const quota = (await (await fetch(`${role.url}/quota`, { headers })).json()) as { used: number };
      return quota.used === charged;
    };
    await eventually('the quota is settled', used);
  });
});
