import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from '@jest/globals';
import { type ModelAnswer } from '../support/model-server.js';
import { eventually } from '../support/eventually.js';
import { BOB, openStage, type Question, type Stage, ticksOf } from '../support/stage.js';

let stage: Stage;
afterEach(() => stage.close());

const FACT = 'Euglena gracilis swims with one flagellum, towards the light.';

function research({ tick }: Question): ModelAnswer {
  if (tick === 1) return { action: 'SEARCH', argument: 'euglena flagellum' };
  if (tick === 2) return { action: 'VISIT', argument: 'corpus:euglena.md' };
  return { action: 'EXIT', argument: 'With one flagellum [s1].' };
}

it('takes a mandate in, works on it, and answers with sources and a receipt', async () => {
  stage = await openStage(research);
  const corpus = join(stage.dataDir, 'corpus');
  mkdirSync(corpus);
  writeFileSync(join(corpus, 'euglena.md'), `# Euglena\n\n${FACT}\n`);
  const all = await stage.start('all', { SEARCH_CORPUS_DIR: corpus });
  const api = await stage.api(all);

  const { id, location } = await api.submit('How does it swim?', 10);
  expect(location).toBe(`/tasks/${id}`);
  const journal = await api.journal(id);
  const task = await api.task(id);

  expect(task).toMatchObject({ status: 'completed', tick: 3, error: null });
  expect(task.usage).toMatchObject({ ticks: 3, model_calls: 3, prompt_tokens: 300, completion_tokens: 60 });
  expect(task.result).toMatchObject({
    answer: 'With one flagellum [s1].',
    exit_reason: 'answered',
    sources: [{ id: 's1', url: 'corpus:euglena.md', title: 'Euglena' }],
  });
  expect(task.result?.receipt).toBe(journal.at(-1)?.hash);
  expect(journal.map(({ type }) => type)).toEqual([
    'submitted',
    'accepted',
    ...['tick', 'observation', 'tick', 'observation', 'tick'],
    'finished',
  ]);
  expect(ticksOf(journal)).toEqual([1, 2, 3]);
  expect(journal.filter(({ type }) => type === 'observation')[1]?.data.text).toContain(FACT);
  await eventually('the unused ticks are given back', async () => (await api.quotaUsed()) === 3);
  expect(await api.agents()).toBe(1);
  await eventually('nothing is left', () =>
    Object.values(stage.leftToDo() ?? { none: 1 }).every((n) => n === 0),
  );
});

it('shows a task to its owner only', async () => {
  stage = await openStage(() => 'hang');
  const all = await stage.start('all');
  const [alice, bob] = [await stage.api(all), await stage.api(all, BOB)];
  const { id } = await alice.submit('Mine');
  const answers = [
    await bob.request(`/tasks/${id}`),
    await bob.request(`/tasks/${id}/events`),
    await bob.request(`/tasks/${id}/cancel`, { method: 'POST' }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
  await Promise.all(answers.map((answer) => answer.text()));
  expect((await alice.task(id)).status).not.toBe('cancelled');
  expect((await alice.cancel(id)).status).toBe('cancelled');
});
