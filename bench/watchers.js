/**
 * Many watchers on one gateway: how long an event takes to reach the last of them, and what they cost in memory.
 * Needs a build (`dist/`) and Linux (`/proc`).
 *
 *   npm run bench:watchers -- [--watchers 5000] [--tasks 1]
 */
import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startModelServer } from './model-server.js';
import { startRole } from './role-process.js';

const { Buffer, URL, console, fetch, performance } = globalThis;
const { values: options } = parseArgs({
  options: { watchers: { type: 'string', default: '5000' }, tasks: { type: 'string', default: '1' } },
});
const WATCHERS = Number(options.watchers);
const TASKS = Number(options.tasks);
const WITHIN_MS = 250;
const MEMORY_MB = 400;
/** Events that are timed, one after another: the model goes on when the last watcher has seen the one before. */
const EVENTS = 7;
/** Connections that are opened at once. */
const AT_ONCE = 50;

/** What every watcher reads into: each looks at it before the next one reads. */
const buffer = Buffer.alloc(65_536);

/**
 * Follows a task; calls `seen` with the type of each event once the whole of it is here. Resolves with the connection when
 * the answer begins. A bare socket: an HTTP client for each watcher takes longer to read an event than the gateway to send it.
 */
async function follow({ url, token }, id, seen) {
  const { hostname, port, host } = new URL(url);
  const answer = new EventEmitter();
  let rest = '';
  const hear = (length) => {
    if (rest === '') answer.emit('begins', buffer.latin1Slice(0, length));
    rest += buffer.latin1Slice(0, length);
    const end = rest.lastIndexOf('\n\n');
    if (end === -1) return true;
    for (const [, type] of rest.slice(0, end).matchAll(/^event: (\w+)$/gm)) seen(type);
    rest = rest.slice(end);
    return true;
  };
  const socket = connect({ host: hostname, port, onread: { buffer, callback: hear } });
  socket.on('error', (error) => answer.emit('error', error));
  socket.write(`GET /tasks/${id}/events HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${token}\r\n\r\n`);
  const [head] = await once(answer, 'begins');
  if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(`a watcher got ${head}`);
  return socket;
}

async function submit({ url, token }) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ mandate: 'Think, and be watched.', max_ticks: 10 });
  const response = await fetch(`${url}/tasks`, { method: 'POST', headers, body });
  return (await response.json()).correlation_id;
}

/** All watchers, open and up to date. `reached[n]` counts those that saw tick n; `last` is when one saw any. */
async function openWatchers(role, ids, counter) {
  const sockets = [];
  let accepted = 0;
  for (let opened = 0; opened < WATCHERS; opened += AT_ONCE) {
    const batch = Array.from({ length: Math.min(AT_ONCE, WATCHERS - opened) }, (_, at) => {
      let ticks = 0;
      return follow(role, ids[(opened + at) % ids.length], (type) => {
        if (type === 'accepted') accepted += 1;
        if (type !== 'tick') return;
        ticks += 1;
        counter.reached[ticks] = (counter.reached[ticks] ?? 0) + 1;
        counter.last = performance.now();
      });
    });
    sockets.push(...(await Promise.all(batch)));
  }
  while (accepted < WATCHERS) await delay(20);
  return sockets;
}

/** The model gives the answers of tick n when the nth of these is resolved, asked before or after. */
const goes = Array.from({ length: EVENTS + 1 }, () => {
  let go;
  return { allowed: new Promise((resolve) => (go = resolve)), go };
});
let asked = 0;
const model = await startModelServer(async () => {
  asked += 1;
  const thought = asked;
  await goes[Math.min(Math.ceil(thought / TASKS) - 1, EVENTS)].allowed;
  return { thought: '', action: 'THINK', argument: `thought ${thought}` };
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
  const counter = { reached: [], last: 0 };
  const began = performance.now();
  const sockets = await openWatchers(role, ids, counter);
  const opening = performance.now() - began;
  const memory = role.residentMb();
  const late = [];
  for (let tick = 1; tick <= EVENTS; tick += 1) {
    const allowed = performance.now();
    goes[tick - 1].go();
    while ((counter.reached[tick] ?? 0) < WATCHERS) await delay(5);
    late.push(counter.last - allowed);
  }
  late.sort((a, b) => a - b);
  const [median, worst] = [late[Math.floor(EVENTS / 2)], late.at(-1)];
  sockets.forEach((socket) => socket.destroy());
  console.table([
    { what: `opening ${WATCHERS} watchers`, measured: `${opening.toFixed(0)} ms`, target: '', ratio: '' },
    {
      what: `an event of ${TASKS} task(s) reaches the last of ${WATCHERS} watchers, model and agent included`,
      measured: `${median.toFixed(0)} ms`,
      target: `${WITHIN_MS} ms`,
      ratio: (median / WITHIN_MS).toFixed(2),
    },
    {
      what: `the slowest of ${EVENTS} such events`,
      measured: `${worst.toFixed(0)} ms`,
      target: `${WITHIN_MS} ms`,
      ratio: (worst / WITHIN_MS).toFixed(2),
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
