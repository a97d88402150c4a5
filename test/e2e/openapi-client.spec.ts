import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import createClient, { type Client } from 'openapi-fetch';
import { systemClock } from '../../src/config/system-clock.js';
import { issueLocalToken } from '../../src/ports/identity/local-secret.js';
import { EuglenaApi } from '../support/euglena-api.js';
import { type EuglenaProcess } from '../support/euglena-process.js';
import { eventually } from '../support/eventually.js';
import { type components, type paths } from '../support/openapi-types.js';
import { askedAgain, openStage, type Question, type Stage, ticksOf } from '../support/stage.js';

type Task = components['schemas']['Task'];

let stage: Stage;
let api: Client<paths>;
let plain: EuglenaApi;

/** Answers in its third tick; after an extension it notes two things more and answers better. */
function script({ mandate, tick }: Question) {
  if (mandate === 'never answer') return { action: 'THINK', argument: `note ${tick}` };
  if (tick === 3) return { action: 'EXIT', argument: 'The first answer.' };
  if (tick === 6) return { action: 'EXIT', argument: 'A better answer.' };
  return { action: 'THINK', argument: `note ${tick}` };
}

let all: EuglenaProcess;
beforeAll(async () => {
  stage = await openStage(script);
  all = await stage.start('all', { DAILY_TICK_LIMIT: '256' });
});
afterAll(() => stage.close());

/** Each test is another user. */
beforeEach(async () => {
  const subject = randomUUID();
  const token = await issueLocalToken({
    dataDir: stage.dataDir,
    subject,
    ttlSeconds: 600,
    clock: systemClock,
  });
  api = createClient<paths>({ baseUrl: all.url, headers: { authorization: `Bearer ${token}` } });
  plain = new EuglenaApi(all.url, token);
});

const taskIs = (id: string, status: Task['status']) =>
  eventually(`the task is ${status}`, async () => {
    const { data } = await api.GET('/tasks/{id}', { params: { path: { id } } });
    return data?.status === status ? data : null;
  });

/** The journal to its end. */
async function journalOf(id: string) {
  const { data, response } = await api.GET('/tasks/{id}/events', {
    params: { path: { id } },
    parseAs: 'text',
  });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const entries = [...(data ?? '').matchAll(/^data: (.*)$/gm)];
  return entries.map(([, json = '']) => JSON.parse(json) as components['schemas']['JournalEntry']);
}

describe('a client that is generated from the document', () => {
  it('submits, follows, reads, extends and pays for a task', async () => {
    const dry = await api.POST('/tasks', {
      params: { query: { dry_run: true } },
      body: { mandate: 'Find X', max_ticks: 10 },
    });
    expect(dry.data).toMatchObject({ would_be_accepted: true, position: 0, estimated_wait_seconds: 0 });

    const submitted = await api.POST('/tasks', {
      params: { header: { 'Idempotency-Key': 'order-17' } },
      body: { mandate: 'Find X', max_ticks: 10 },
    });
    expect(submitted.response.status).toBe(202);
    const id = (submitted.data as Task).correlation_id;
    expect((await journalOf(id)).at(-1)?.type).toBe('finished');
    const first = await taskIs(id, 'completed');
    expect(first).toMatchObject({ tick: 3, max_ticks: 10, result: { answer: 'The first answer.' } });

    const extended = await api.POST('/tasks/{id}/extend', {
      params: { path: { id } },
      body: { ticks: 5 },
    });
    expect(extended.data).toMatchObject({ max_ticks: 15, result: null });
    const better = await taskIs(id, 'completed');
    expect(better).toMatchObject({ tick: 6, max_ticks: 15, result: { answer: 'A better answer.' } });
    await eventually('each tick is paid for once', async () => (await api.GET('/quota')).data?.used === 6);

    const page = await api.GET('/tasks', { params: { query: { status: 'completed', limit: 5 } } });
    expect(page.data?.tasks).toEqual([better]);
    const { data: count } = await api.GET('/agents/count');
    expect(count).toEqual({ count: 1 });
  });

  it('sees problems as typed problems', async () => {
    const { error, response } = await api.POST('/tasks', { body: { mandate: '', max_ticks: 500 } });
    expect(response.status).toBe(422);
    expect(error?.code).toBe('invalid_field');
    expect(error?.errors?.map(({ field }) => field)).toEqual(['mandate', 'max_ticks']);
    const missing = await api.POST('/tasks/{id}/cancel', { params: { path: { id: 'nothing' } } });
    expect(missing.error?.status).toBe(404);
  });
});

describe('an extended task', () => {
  it('goes on from its journal: no tick is repeated, and the model knows its first answer', async () => {
    const { id } = await plain.submit('Find Y', 10);
    await taskIs(id, 'completed');
    await api.POST('/tasks/{id}/extend', { params: { path: { id } }, body: { ticks: 5 } });
    await taskIs(id, 'completed');
    const journal = await plain.journal(id, null);
    expect(ticksOf(journal)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(askedAgain(stage.questions, 'Find Y', journal)).toEqual([]);
    expect(
      journal.map(({ type }) => type).filter((type) => type !== 'tick' && type !== 'observation'),
    ).toEqual(['submitted', 'accepted', 'finished', 'extended', 'accepted', 'finished']);
    const asked =
      stage.model.calls
        .at(-1)
        ?.messages.map(({ content }) => content)
        .join('\n') ?? '';
    expect(asked).toContain('The first answer.');
    expect(asked).toContain('Then the user extended the budget');
    const task = await plain.task(id);
    expect(task.result?.receipt).toBe(journal.at(-1)?.hash);
  });

  it('must answer in the last tick of its new budget', async () => {
    const { id } = await plain.submit('never answer', 2);
    const first = await taskIs(id, 'completed');
    expect(first).toMatchObject({ tick: 2, result: { exit_reason: 'max_ticks' } });
    await api.POST('/tasks/{id}/extend', { params: { path: { id } }, body: { ticks: 3 } });
    const second = await taskIs(id, 'completed');
    expect(second).toMatchObject({ tick: 5, max_ticks: 5, result: { exit_reason: 'max_ticks' } });
    expect(second.result?.answer).toContain('note 4');
  });
});
