import { readFileSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startEngines } from '../engines.js';
import { startModelServer } from '../model-server.js';
import { startRole } from '../role-process.js';

/**
 * A fleet on this host, for real: `euglena up --autoscale` over Redis and RabbitMQ gets many tasks at once. Prints every
 * second how many wait, how many agents are wanted, run and say that they live; then checks that no task was interrupted.
 */
const { console, fetch } = globalThis;
const { values } = parseArgs({
  options: {
    tasks: { type: 'string', default: '60' },
    'scale-in': { type: 'string', default: '60' },
  },
});
const TASKS = Number(values.tasks);
const [TICKS, TICK_MS, MAX_WORKERS] = [4, 2_500, 11];
const GIVE_UP_MS = 600_000;

const engines = await startEngines(false);
const model = await startModelServer(async (_path, body) => {
  const tick = Number(/This is tick (\d+) of/.exec(JSON.parse(body).messages.at(-1).content)?.[1]);
  await delay(TICK_MS);
  const action = tick < TICKS ? 'THINK' : 'EXIT';
  return { thought: '', action, argument: `thought ${tick}` };
});
const role = await startRole({
  ...engines.env,
  EUGLENA_AUTOSCALE: 'true',
  AUTOSCALER_INTERVAL_SECONDS: '5',
  SCALE_IN_AFTER_SECONDS: values['scale-in'],
  MAX_WORKERS: String(MAX_WORKERS),
  MODEL_API_URL: model.url,
  DAILY_TICK_LIMIT: '1000000',
});

const began = Date.now();
const headers = { authorization: `Bearer ${role.token}`, 'content-type': 'application/json' };
const get = async (path) => (await fetch(`${role.url}${path}`, { headers })).text();

async function look() {
  const [metrics, count, decisions] = await Promise.all([
    get('/metrics'),
    get('/agents/count'),
    get('/autoscaler/decisions'),
  ]);
  const figure = (name) => Number(new RegExp(`^${name} (.+)$`, 'm').exec(metrics)?.[1] ?? Number.NaN);
  const [last] = JSON.parse(decisions).decisions;
  const children = readFileSync(`/proc/${role.pid}/task/${role.pid}/children`, 'utf8');
  return {
    seconds: Math.round((Date.now() - began) / 1_000),
    waiting: figure('euglena_queue_depth'),
    inFlight: figure('euglena_in_flight'),
    wanted: last?.desired ?? 0,
    rule: last?.rule ?? '',
    processes: children.trim().split(' ').filter(Boolean).length,
    presence: JSON.parse(count).count,
  };
}

let shown = '';
const seen = [];
async function until(what, holds) {
  for (;;) {
    const now = await look();
    seen.push(now);
    const { seconds, ...rest } = now;
    const line = JSON.stringify(rest);
    if (line !== shown) {
      console.log(
        [seconds, rest.waiting, rest.inFlight, rest.wanted, rest.processes, rest.presence]
          .map((value) => String(value).padStart(9))
          .join('') + `  ${rest.rule}`,
      );
    }
    shown = line;
    if (await holds(now)) return now;
    if (Date.now() - began > GIVE_UP_MS) throw new Error(`not within ${GIVE_UP_MS / 1_000} s: ${what}`);
    await delay(1_000);
  }
}

const settledAt = (workers) => (now) =>
  now.wanted === workers && now.processes === workers && now.presence === workers;
const problems = [];
try {
  console.log(
    ['seconds', 'waiting', 'in hand', 'wanted', 'running', 'presence']
      .map((name) => name.padStart(9))
      .join('') + '  rule',
  );
  await until('one agent', settledAt(1));
  const ids = await Promise.all(
    Array.from({ length: TASKS }, async (_, number) => {
      const body = JSON.stringify({ mandate: `Task ${number + 1}`, max_ticks: TICKS + 1 });
      const answer = await fetch(`${role.url}/tasks`, { method: 'POST', headers, body });
      if (answer.status !== 202) throw new Error(`a task was not accepted: ${answer.status}`);
      return (await answer.json()).correlation_id;
    }),
  );
  console.log(
    `          ${TASKS} tasks are handed in, of ${TICKS} ticks and ${(TICKS * TICK_MS) / 1_000} s each`,
  );
  await until(`${MAX_WORKERS} agents`, settledAt(MAX_WORKERS));
  await until('one agent again', settledAt(1));
  for (const id of ids) {
    const [task, journal] = await Promise.all([get(`/tasks/${id}`), get(`/tasks/${id}/events`)]);
    const accepted = journal.split('\n').filter((line) => line === 'event: accepted').length;
    const { status, tick } = JSON.parse(task);
    if (status !== 'completed' || tick !== TICKS) problems.push(`${id} is ${status} after ${tick} ticks`);
    if (accepted !== 1) problems.push(`${id} was taken ${accepted} times: it was interrupted`);
  }
  const peak = Math.max(...seen.map(({ processes }) => processes));
  console.log(`${ids.length} tasks, each taken once and completed; agents 1 → ${peak} → 1`);
} finally {
  await role.stop();
  model.close();
  await engines.close();
}
for (const problem of problems) console.log(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
