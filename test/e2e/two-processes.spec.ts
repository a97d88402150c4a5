import { afterEach, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { askedAgain, openStage, type Stage, thinker, ticksOf } from '../support/stage.js';

let stage: Stage;
afterEach(() => stage.close());

const COMES_BACK_MS = 40_000;

it('gives the tasks of a killed agent to the next one', async () => {
  const think = thinker(3);
  stage = await openStage((asked) => (asked.tick === 2 && asked.times === 1 ? 'hang' : think(asked)));
  const gateway = await stage.start('gateway');
  const first = await stage.start('agent');
  const api = await stage.api(gateway);
  expect(await api.agents()).toBe(1);
  const { id } = await api.submit('Task');
  await stage.model.called(2);
  await first.kill('SIGKILL');
  await stage.start('agent');

  await eventually('it ends', async () => (await api.task(id)).finished_at !== null, COMES_BACK_MS);
  const [task, journal] = await Promise.all([api.task(id), api.journal(id)]);
  expect(task).toMatchObject({ status: 'completed', usage: { ticks: 3 } });
  expect(ticksOf(journal)).toEqual([1, 2, 3]);
  expect(askedAgain(stage.questions, 'Task', journal)).toEqual([]);
  const workers = journal.filter(({ type }) => type === 'accepted').map(({ data }) => data.worker_id);
  expect(new Set(workers).size).toBe(2);
  await eventually('it is charged', async () => (await api.quotaUsed()) === 3);
  await eventually('the dead are not counted', async () => (await api.agents()) === 1);
}, 60_000);

it('shares the tasks out among agents, each to one', async () => {
  stage = await openStage(thinker(2, 50));
  const [gateway] = await Promise.all([stage.start('gateway'), stage.start('agent'), stage.start('agent')]);
  const api = await stage.api(gateway);
  await eventually('both are there', async () => (await api.agents()) === 2);
  const ids = await api.submitAll(Array.from({ length: 20 }, (_, n) => `Task ${n + 1}`));
  const journals = await Promise.all(ids.map((id) => api.journal(id)));
  for (const journal of journals) {
    expect(ticksOf(journal)).toEqual([1, 2]);
    expect(journal.filter(({ type }) => type === 'accepted')).toHaveLength(1);
    expect(journal.at(-1)?.data.status).toBe('completed');
  }
  expect(stage.questions).toHaveLength(40);
  const workers = journals.map((journal) => journal.find(({ type }) => type === 'accepted')?.data.worker_id);
  expect(new Set(workers).size).toBe(2);
  await eventually('each is charged once', async () => (await api.quotaUsed()) === 40);
}, 60_000);

it('stops a task that its owner cancels, whichever process works on it', async () => {
  stage = await openStage(({ mandate, tick }) => {
    if (mandate === 'Next') return { action: 'EXIT', argument: 'done' };
    return tick === 1 ? { action: 'THINK', argument: 'hm' } : 'hang';
  });
  const [gateway] = await Promise.all([stage.start('gateway'), stage.start('agent')]);
  const api = await stage.api(gateway);
  const { id } = await api.submit('Task', 10);
  await stage.model.called(2);
  expect(await api.quotaUsed()).toBe(10);

  expect(await api.cancel(id)).toMatchObject({ status: 'cancelled', usage: { ticks: 1 } });
  // The agent works on one task at a time: another gets its turn because this one is left, with its call unanswered.
  const next = await api.submit('Next');
  await eventually('the next is done', async () => (await api.task(next.id)).status === 'completed', 3_000);
  await eventually('the unused ticks are given back', async () => (await api.quotaUsed()) === 2, 5_000);
  const journal = await api.journal(id);
  expect(ticksOf(journal)).toEqual([1]);
  expect(journal.at(-1)).toMatchObject({ type: 'finished', data: { status: 'cancelled' } });
  expect((await api.task(id)).status).toBe('cancelled');
}, 60_000);
