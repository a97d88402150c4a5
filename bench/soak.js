/**
 * A soak: thousands of short tasks while agents, gateways and engines are killed at random, and then an audit of all that
 * was promised. Needs a build (`dist/`). See bench/README.md.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Audit } from './audit.js';
import { Chaos } from './chaos.js';
import { startEngines } from './engines.js';
import { openEngines, workLeft } from './leftovers.js';
import { freePort } from './private-server.js';
import { seeded } from './random.js';
import { SoakClient, tokensFor } from './soak-client.js';
import { SoakLoad } from './soak-load.js';
import { startSoakModel, writePages } from './soak-model.js';
import { SupervisedRole } from './supervised-role.js';

const { console, AbortController } = globalThis;

const HEARTBEAT_SECONDS = 2;
const LEASE_MS = HEARTBEAT_SECONDS * 3_000;
const USERS = 5;
/** How long everything may take to come to rest after the last fault, in ms. */
const SETTLE_MS = 240_000;
const EXAMPLES = 5;

function readOptions() {
  const number = (name, text, least, most) => {
    const value = Number(text);
    if (!Number.isFinite(value) || value < least || value > most) {
      throw new Error(`--${name} must be a number from ${least} to ${most}`);
    }
    return value;
  };
  const { values } = parseArgs({
    allowNegative: true,
    options: {
      tasks: { type: 'string', default: '2000' },
      minutes: { type: 'string', default: '4' },
      seed: { type: 'string', default: `${randomBytes(4).readUInt32LE()}` },
      gateways: { type: 'string', default: '2' },
      agents: { type: 'string', default: '3' },
      chaos: { type: 'boolean', default: true },
      faults: { type: 'string', default: '' },
      chroma: { type: 'boolean', default: true },
      logs: { type: 'string' },
      out: { type: 'string' },
    },
  });
  return {
    ...values,
    tasks: number('tasks', values.tasks, 1, 50_000),
    minutes: number('minutes', values.minutes, 0.1, 240),
    seed: number('seed', values.seed, 0, 2 ** 32 - 1),
    gateways: number('gateways', values.gateways, 1, 4),
    agents: number('agents', values.agents, 1, 50),
  };
}

/** The processes of the product, on the engines and over one folder. */
async function startRoles(options, { folder, env, model, secret }) {
  const { PATH, HOME } = process.env;
  const common = {
    ...{ PATH, HOME, ...env },
    HOST: '127.0.0.1',
    LOG_LEVEL: options.logs === undefined ? 'warn' : 'info',
    EUGLENA_DATA_DIR: join(folder, 'data'),
    SEARCH_CORPUS_DIR: join(folder, 'pages'),
    SUPABASE_JWT_SECRET: secret,
    AGENT_STATUS_TIME: `${HEARTBEAT_SECONDS}`,
    AGENT_CONCURRENCY: '4',
    DAILY_TICK_LIMIT: '1000000',
    USER_MAX_ACTIVE_TASKS: '100000',
    RATE_LIMIT_PER_MINUTE: '1000000',
  };
  const roles = [];
  for (const [role, count] of [
    ['gateway', options.gateways],
    ['agent', options.agents],
    ['metrics', 1],
  ]) {
    for (let number = 1; number <= count; number += 1) {
      const name = `${role}-${number}`;
      const port = await freePort();
      const own = { PORT: `${port}`, MODEL_API_URL: model.urlFor(name) };
      const started = new SupervisedRole(name, role, {
        env: { ...common, ...own },
        cwd: folder,
        logs: options.logs,
      });
      started.url = `http://127.0.0.1:${port}`;
      roles.push(started);
    }
  }
  await Promise.all(roles.map((role) => role.start()));
  return roles;
}

/** Everything that a run needs, started; `close` ends and removes all of it. */
async function openStage(options) {
  const folder = mkdtempSync(join(tmpdir(), 'euglena-soak-'));
  const closers = [() => rmSync(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const end of closers.splice(0).reverse()) await end();
  };
  try {
    writePages(join(folder, 'pages'));
    const engines = await startEngines(options.chroma, { logs: options.logs });
    closers.push(engines.close);
    const model = await startSoakModel(seeded(options.seed + 1));
    closers.push(model.close);
    const secret = randomBytes(32).toString('hex');
    const users = Array.from({ length: USERS }, () => randomUUID());
    const env = { ...engines.env, QUEUE_NAME: `soak.${randomUUID()}` };
    const roles = await startRoles(options, { folder, env, model, secret });
    closers.push(() => Promise.all(roles.map((role) => role.stop())));
    const urls = roles.filter(({ role }) => role === 'gateway').map(({ url }) => url);
    const client = new SoakClient(urls, await tokensFor(users, secret), seeded(options.seed + 2));
    const readers = openEngines(env, join(folder, 'data'));
    closers.push(readers.close);
    return { engines, model, users, roles, client, readers, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function soak(options, stage) {
  const { engines, roles, client, users, model, readers } = stage;
  const days = new Set([today()]);
  const ofRole = (wanted) => roles.filter(({ role }) => role === wanted);
  const load = new SoakLoad({
    ...options,
    client,
    users,
    random: seeded(options.seed),
    count: options.tasks,
  });
  const chaos = new Chaos({
    random: seeded(options.seed + 3),
    agents: ofRole('agent'),
    gateways: ofRole('gateway'),
    engines: engines.private,
    leaseMs: LEASE_MS,
    only: options.faults.split(','),
  });
  const ended = new AbortController();
  const watching = load.watch(ended.signal);
  const began = Date.now();
  if (options.chaos) chaos.start();
  await load.run();
  await chaos.stop();
  const calm = Date.now();
  await Promise.all(roles.map((role) => role.ready()));
  await load.resolveDoubts();
  await comeToRest(load, readers);
  const settledMs = Date.now() - calm;
  ended.abort();
  await watching;
  days.add(today());
  const ownsRedis = engines.private.redis !== undefined;
  const audit = new Audit({ load, client, users, model, chaos, roles, engines: readers, ownsRedis, days });
  await audit.run();
  const lastEnd = Math.max(...load.tasks.map(({ endedAt }) => endedAt ?? 0));
  return { load, chaos, audit, client, roles, settledMs, runMs: lastEnd - began };
}

/** Waits until every task has ended and nothing is left to do, or the time for that is over. */
async function comeToRest(load, readers) {
  const until = Date.now() + SETTLE_MS;
  let said = '';
  while (Date.now() < until) {
    const open = load.tasks.filter(({ id, seen }) => id !== null && seen === null).length;
    const left = { open, ...(await workLeft(readers)) };
    if (Object.entries(left).every(([place, count]) => !count || place === 'dead')) return;
    if (JSON.stringify(left) !== said) console.log(`left: ${(said = JSON.stringify(left))}`);
    await delay(1_000);
  }
}

function today() {
  return new Date().toISOString().slice(0, 10);
}

function summary(options, { load, chaos, audit, client, roles, settledMs, runMs }) {
  const seconds = (ms) => Number((ms / 1_000).toFixed(1));
  const count = (test) => load.tasks.filter(test).length;
  const records = [...audit.records.values()];
  const ended = (wanted) => records.filter(({ status }) => status === wanted).length;
  const findings = Object.entries(audit.findings);
  return {
    options: { ...options, logs: undefined, out: undefined },
    counts: {
      'tasks accepted (202)': load.accepted.length,
      'of them ended': count(({ outcome, seen }) => outcome === 'accepted' && seen !== null),
      'tasks completed': ended('completed'),
      'tasks cancelled': ended('cancelled'),
      'submissions refused': count(({ outcome }) => outcome === 'refused'),
      'submissions without an answer': count(({ outcome }) => outcome === 'in doubt'),
      'of them stored': count(({ outcome, id }) => outcome === 'in doubt' && id !== null),
      'ticks run': audit.facts.ticks,
      'claims beyond one for each task': audit.facts.reclaims,
      'questions of agents that had just woken': audit.facts.askedByWoken,
      'observations without memory': audit.facts.withoutMemory,
      'starts that failed': roles.reduce((sum, { failedStarts }) => sum + failedStarts, 0),
      'seconds until the last end': seconds(runMs),
      'seconds from the last fault until all was at rest': seconds(settledMs),
      'tasks a second': Number((load.accepted.length / (runMs / 1_000)).toFixed(1)),
    },
    faults: Object.fromEntries([...chaos.faults].toSorted()),
    answers: Object.fromEntries([...client.answers].toSorted()),
    audit: Object.fromEntries(findings.map(([promise, found]) => [promise, found.length])),
    examples: Object.fromEntries(
      findings
        .filter(([, found]) => found.length > 0)
        .map(([promise, found]) => [promise, found.slice(0, EXAMPLES)]),
    ),
  };
}

function print({ options, counts, faults, answers, audit, examples }) {
  const asTable = (rows, name) =>
    console.table(Object.fromEntries(Object.entries(rows).map(([what, value]) => [what, { [name]: value }])));
  console.log(`\nSoak with seed ${options.seed}`);
  asTable(counts, 'count');
  asTable(faults, 'times');
  console.table(answers);
  asTable(audit, 'found');
  for (const [promise, found] of Object.entries(examples))
    console.log(`${promise}:\n  ${found.join('\n  ')}`);
}

const options = readOptions();
if (options.logs !== undefined) mkdirSync(options.logs, { recursive: true });
const stage = await openStage(options);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => void stage.close().finally(() => process.exit(1)));
}
try {
  const result = summary(options, await soak(options, stage));
  print(result);
  if (options.out !== undefined) writeFileSync(options.out, `${JSON.stringify(result, null, 2)}\n`);
  const violations = Object.values(result.audit).reduce((sum, found) => sum + found, 0);
  console.log(violations === 0 ? '\nEvery promise was kept.' : `\n${violations} violations.`);
  process.exitCode = violations === 0 ? 0 : 1;
} finally {
  await stage.close();
}
