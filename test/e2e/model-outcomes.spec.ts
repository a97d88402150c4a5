import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RunningRole, startRole } from '../../src/boot/start-role.js';
import { readSettings } from '../../src/config/settings.js';
import { systemClock } from '../../src/config/system-clock.js';
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
  readonly result: { answer: string; exit_reason: string; model: string } | null;
  readonly error: { code: string; message: string } | null;
  readonly usage: { ticks: number; model_calls?: number };
}

const dataDir = temporaryDataDir();
let script: ModelScript;
let model: ModelServer;
let role: RunningRole;
let headers: Record<string, string>;

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
  const token = await issueLocalToken({
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
  { maxTicks = 6, timeoutMs = 15_000 } = {},
): Promise<{ task: Task; calls: number }> {
  const before = model.calls.length;
  script = ({ callNumber, body }) => says(callNumber - before, JSON.stringify(body));
  const submitted = await fetch(`${role.url}/tasks`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ mandate: 'What is Euglena?', max_ticks: maxTicks }),
  });
  expect(submitted.status).toBe(202);
  const { correlation_id: id } = (await submitted.json()) as Task;
  const ended = async () => {
    const task = (await (await fetch(`${role.url}/tasks/${id}`, { headers })).json()) as Task;
    return ['completed', 'error', 'cancelled'].includes(task.status) ? task : null;
  };
  const task = await eventually('the task ends', ended, timeoutMs);
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
});
