/**
 * Many watchers on one gateway: how long an event takes to reach the last of them, and what they cost in memory.
 * Needs a build (`dist/`) and Linux (`/proc`).
 *
 *   npm run bench:watchers -- [--watchers 5000] [--tasks 1]
 */
import { once } from 'node:events';
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startModelServer } from './model-server.js';
import { startRole } from './role-process.js';

const { console, fetch, performance } = globalThis;
const { values: options } = parseArgs({
  options: { watchers: { type: 'string', default: '5000' }, tasks: { type: 'string', default: '1' } },
});
const WATCHERS = Number(options.watchers);
const TASKS = Number(options.tasks);
const WITHIN_MS = 250;
const MEMORY_MB = 400;
/** Connections that are opened at once. */
const AT_ONCE = 50;

/** Follows a task; calls `seen` with the type of each event. Answers the way to stop. */
async function follow({ url, token }, id, seen) {
  const call = request(`${url}/tasks/${id}/events`, {
    headers: { authorization: `Bearer ${token}` },
    agent: false,
  });
  call.end();
  const [response] = await once(call, 'response');
  if (response.statusCode !== 200) throw new Error(`a watcher got ${response.statusCode}`);
  response.setEncoding('utf8').on('data', (text) => {
    for (const [, type] of text.matchAll(/^event: (\w+)$/gm)) seen(type);
  });
  response.on('error', () => {});
  return () => call.destroy();
}

async function submit({ url, token }) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ mandate: 'Think, and be watched.', max_ticks: 10 });
  const response = await fetch(`${url}/tasks`, { method: 'POST', headers, body });
  return (await response.json()).correlation_id;
}

/** All watchers, open and up to date. `ticks` counts the ticks that they saw; `last` is when. */
async function openWatchers(role, ids, counter) {
  const stops = [];
  let accepted = 0;
  for (let opened = 0; opened < WATCHERS; opened += AT_ONCE) {
    const batch = Array.from({ length: Math.min(AT_ONCE, WATCHERS - opened) }, (_, at) =>
      follow(role, ids[(opened + at) % ids.length], (type) => {
        if (type === 'accepted') accepted += 1;
        if (type !== 'tick') return;
        counter.ticks += 1;
        counter.last = performance.now();
      }),
    );
    stops.push(...(await Promise.all(batch)));
  }
  while (accepted < WATCHERS) await delay(20);
  return stops;
}

let open;
const opened = new Promise((resolve) => (open = resolve));
const model = await startModelServer(async () => {
  await opened;
  return { thought: '', action: 'THINK', argument: 'a thought' };
});
const role = await startRole({
  MODEL_API_URL: model.url,
  DAILY_TICK_LIMIT: '1000000',
  USER_MAX_ACTIVE_TASKS: '100000',
  RATE_LIMIT_PER_MINUTE: '1000000',
  AGENT_CONCURRENCY: String(TASKS),
});
try {
  const before = role.residentMb();
  const ids = [];
  for (let count = 0; count < TASKS; count += 1) ids.push(await submit(role));
  const counter = { ticks: 0, last: 0 };
  const stops = await openWatchers(role, ids, counter);
  const memory = role.residentMb();
  const answered = performance.now();
  open();
  while (counter.ticks < WATCHERS) await delay(5);
  const late = counter.last - answered;
  stops.forEach((stop) => stop());
  console.table([
    {
      what: `an event of ${TASKS} task(s) reaches the last of ${WATCHERS} watchers, model and agent included`,
      measured: `${late.toFixed(0)} ms`,
      target: `${WITHIN_MS} ms`,
      ratio: (late / WITHIN_MS).toFixed(2),
    },
    {
      what: `resident memory with them (${before.toFixed(0)} MB before)`,
      measured: `${memory.toFixed(0)} MB`,
      target: `${MEMORY_MB} MB`,
      ratio: (memory / MEMORY_MB).toFixed(2),
    },
  ]);
} finally {
  await role.stop();
  model.close();
}
