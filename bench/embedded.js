/** What the embedded installation costs: start, memory, and a tick. Needs a build (`dist/`) and Linux (`/proc`). */
import { setTimeout as delay } from 'node:timers/promises';
import { startModelServer } from './model-server.js';
import { startRole } from './role-process.js';

const { console, fetch, performance } = globalThis;

const STARTS = 5;
const IDLE_MS = 5_000;
const TICKS = 150;

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Milliseconds from the start of the process until it says `ready`. */
async function timeUntilReady() {
  const times = [];
  for (let run = 0; run < STARTS; run += 1) {
    const role = await startRole();
    times.push(role.readyMs);
    await role.stop();
  }
  return median(times);
}

async function idleMemory() {
  const role = await startRole();
  try {
    await delay(IDLE_MS);
    return role.residentMb();
  } finally {
    await role.stop();
  }
}

/** Milliseconds of one exchange with the model, and of one tick that does nothing beside it. */
async function tickTimes() {
  const model = await startModelServer();
  const role = await startRole({ MODEL_API_URL: model.url, DAILY_TICK_LIMIT: '100000' });
  try {
    await runTask(role, TICKS);
    const tick = (await runTask(role, TICKS)) / TICKS;
    return { tick, exchange: (await exchanges(model.url, TICKS)) / TICKS };
  } finally {
    await role.stop();
    model.close();
  }
}

/** Milliseconds that a task of `ticks` ticks runs, by its own record. */
async function runTask({ url, token }, ticks) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ mandate: 'Think.', max_ticks: ticks });
  const { correlation_id: id } = await (
    await fetch(`${url}/tasks`, { method: 'POST', headers, body })
  ).json();
  // The stream ends with the task.
  await (await fetch(`${url}/tasks/${id}/events`, { headers })).text();
  const task = await (await fetch(`${url}/tasks/${id}`, { headers })).json();
  if (task.status !== 'completed' || task.tick !== ticks) throw new Error(JSON.stringify(task));
  return Date.parse(task.finished_at) - Date.parse(task.started_at);
}

async function exchanges(url, count) {
  const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
  const exchange = async () => (await fetch(`${url}/chat/completions`, request)).json();
  await exchange();
  const began = performance.now();
  for (let call = 0; call < count; call += 1) await exchange();
  return performance.now() - began;
}

function row(what, value, target, unit) {
  return {
    what,
    measured: `${value.toFixed(1)} ${unit}`,
    target: `${target} ${unit}`,
    ratio: (value / target).toFixed(2),
  };
}

const ready = await timeUntilReady();
const memory = await idleMemory();
const { tick, exchange } = await tickTimes();
console.table([
  row(`ready after start (median of ${STARTS})`, ready, 2_000, 'ms'),
  row(`idle resident memory after ${IDLE_MS / 1_000} s`, memory, 150, 'MB'),
  row(`no-op tick without the model's exchange (${TICKS} ticks)`, tick - exchange, 5, 'ms'),
]);
console.log(
  `A whole no-op tick takes ${tick.toFixed(2)} ms, ${(tick / exchange).toFixed(1)} times ` +
    `a bare exchange with the same model server (${exchange.toFixed(2)} ms).`,
);
