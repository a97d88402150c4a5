import { afterEach, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { type EuglenaApi } from '../support/euglena-api.js';
import { askedAgain, openStage, type Stage, thinker, ticksOf } from '../support/stage.js';

let stage: Stage;
afterEach(() => stage.close());

/** A message whose holder was killed comes back 15 s later; what waits for that gets twice as long. */
const COMES_BACK_MS = 40_000;

const names = (count: number, prefix = 'Task') =>
  Array.from({ length: count }, (_, n) => `${prefix} ${n + 1}`);

/** Every task ended well, each tick was decided once, and its owner is charged for those ticks and nothing else. */
async function expectAllDoneOnce(api: EuglenaApi, ids: readonly string[], ticks: number): Promise<void> {
  await eventually(
    'all tasks end',
    async () => {
      const tasks = await Promise.all(ids.map((id) => api.task(id)));
      return tasks.every(({ finished_at: end }) => end !== null);
    },
    COMES_BACK_MS,
  );
  for (const id of ids) {
    const [task, journal] = await Promise.all([api.task(id), api.journal(id)]);
    expect(task).toMatchObject({ status: 'completed', usage: { ticks } });
    expect(task.result?.answer).toBe(`answer to ${task.mandate}`);
    expect(task.result?.receipt).toBe(journal.at(-1)?.hash);
    expect(ticksOf(journal)).toEqual(Array.from({ length: ticks }, (_, n) => n + 1));
    expect(askedAgain(stage.questions, task.mandate, journal)).toEqual([]);
  }
  await eventually('each is charged once', async () => (await api.quotaUsed()) === ids.length * ticks);
  const nothing = { messages: 0, dead: 0, outbox: 0, settlements: 0 };
  await eventually(
    'nothing is left',
    () => JSON.stringify(stage.leftToDo()) === JSON.stringify(nothing),
    COMES_BACK_MS,
  );
}

it('goes on behind the last tick of a process that was killed in mid-task', async () => {
  const think = thinker(4);
  stage = await openStage((asked) => (asked.tick === 3 && asked.times === 1 ? 'hang' : think(asked)));
  const first = await stage.start('all');
  const { id } = await (await stage.api(first)).submit('Task');
  await stage.model.called(3);
  await first.kill('SIGKILL');

  const api = await stage.api(await stage.start('all'));
  await expectAllDoneOnce(api, [id], 4);
  expect(stage.questions.map(({ tick }) => tick)).toEqual([1, 2, 3, 3, 4]);
  const accepted = (await api.journal(id)).filter(({ type }) => type === 'accepted');
  expect(accepted.map(({ data }) => data.attempt)).toEqual([1, 2]);
}, 60_000);

it('loses none of the tasks that it said 202 to', async () => {
  stage = await openStage(thinker(1, 300));
  const first = await stage.start('all', { AGENT_CONCURRENCY: '2' });
  const ids = await (await stage.api(first)).submitAll(names(20));
  await first.kill('SIGKILL');
  expect(stage.questions.length).toBeLessThan(20);

  await expectAllDoneOnce(await stage.api(await stage.start('all')), ids, 1);
}, 60_000);

it('survives being killed again and again', async () => {
  stage = await openStage(thinker(3, 20));
  let seed = 20_260_101;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const ids: string[] = [];
  for (const life of [1, 2, 3, 4, 5]) {
    const all = await stage.start('all', { AGENT_CONCURRENCY: '4' });
    ids.push(...(await (await stage.api(all)).submitAll(names(6, `Life ${life}, task`))));
    await stage.model.called(stage.questions.length + 1 + random(8));
    await all.kill('SIGKILL');
  }
  expect(ids).toHaveLength(30);
  await expectAllDoneOnce(await stage.api(await stage.start('all')), ids, 3);
}, 120_000);
