import { afterEach, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { askedAgain, openStage, type Stage, thinker, ticksOf } from '../support/stage.js';
let stage: Stage;
afterEach(() => stage.close());
it.each([7, 99])('seed %d', async (first) => {
  let seed = first;
  const random = (below: number) => { seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0; return Math.floor((seed / 2 ** 32) * below); };
  stage = await openStage(thinker(3, 15));
  const keys = Array.from({ length: 30 }, (_, n) => `key-${first}-${n}`);
  const post = async (api: any, key: string) => {
    const r = await api.request('/tasks', { method: 'POST', headers: { 'content-type': 'application/json', 'idempotency-key': key }, body: JSON.stringify({ mandate: key, max_ticks: 10 }) });
    const b = await r.json(); if (r.status !== 202) throw new Error(JSON.stringify(b)); return b.correlation_id as string;
  };
  const answered = new Map<string, string>();
  for (let life = 0; life < 6; life++) {
    const all = await stage.start('all', { AGENT_CONCURRENCY: '4' });
    const api = await stage.api(all);
    const sends = keys.map((k) => post(api, k).then((id) => { const was = answered.get(k); if (was && was !== id) throw new Error('other id'); answered.set(k, id); }).catch((e) => { if (/other id|409|422|4\d\d/.test(String(e))) console.log(String(e)); }));
    await new Promise((r) => setTimeout(r, 5 + random(150)));
    await all.kill('SIGKILL');
    await Promise.all(sends);
  }
  console.log('answered before the last life', answered.size, 'questions', stage.questions.length);
  const api = await stage.api(await stage.start('all'));
  const ids: string[] = [];
  for (const k of keys) { const id = await post(api, k); expect(answered.get(k) ?? id).toBe(id); ids.push(id); }
  await eventually('end', async () => (await Promise.all(ids.map((i) => api.task(i)))).every((t) => t.finished_at !== null), 40_000);
  for (const id of ids) {
    const [t, j] = await Promise.all([api.task(id), api.journal(id)]);
    expect(t.status).toBe('completed'); expect(ticksOf(j)).toEqual([1, 2, 3]); expect(askedAgain(stage.questions, t.mandate, j)).toEqual([]);
  }
  await eventually('charged', async () => (await api.quotaUsed()) === 90, 40_000);
  await eventually('nothing', () => JSON.stringify(Object.values(stage.leftToDo()!)) === '[0,0,0,0]', 40_000);
}, 110_000);
