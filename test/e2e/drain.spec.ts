import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { openStage, type Stage, thinker, ticksOf } from '../support/stage.js';

let stage: Stage;
afterEach(() => stage.close());

/** A process that works on tick 2 of 3, whose answer takes a second. */
async function inMidTask() {
  const [think, thinkSlowly] = [thinker(3), thinker(3, 1_000)];
  stage = await openStage((asked) => (asked.tick === 2 ? thinkSlowly(asked) : think(asked)));
  const all = await stage.start('all');
  const { id } = await (await stage.api(all)).submit('Task');
  await stage.model.called(2);
  return { all, id };
}

describe('a process that is asked to stop', () => {
  it.each([
    ['SIGTERM once', ['SIGTERM'] as const],
    ['SIGTERM twice', ['SIGTERM', 'SIGTERM'] as const],
    ['SIGINT', ['SIGINT'] as const],
  ])('lets the tick end and hands the task back: %s', async (_, signals) => {
    const { all, id } = await inMidTask();
    const asked = performance.now();
    for (const signal of signals) all.signal(signal);
    expect(await all.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - asked).toBeLessThan(10_000);

    const api = await stage.api(await stage.start('gateway'));
    expect(await api.task(id)).toMatchObject({ status: 'in_queue', worker_id: null, tick: 2 });
    expect(await api.agents()).toBe(0);
    expect((await api.journal(id, 'released')).at(-1)).toMatchObject({ data: { reason: 'drain' } });

    await stage.start('agent');
    await eventually('it ends', async () => (await api.task(id)).status === 'completed');
    expect(ticksOf(await api.journal(id))).toEqual([1, 2, 3]);
    expect(stage.questions.map(({ tick }) => tick)).toEqual([1, 2, 3]);
    await eventually('it is charged', async () => (await api.quotaUsed()) === 3);
  });

  it('ends at once when nothing runs', async () => {
    stage = await openStage(thinker(1));
    const all = await stage.start('all');
    const asked = performance.now();
    expect(await all.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(performance.now() - asked).toBeLessThan(3_000);
  });
});
