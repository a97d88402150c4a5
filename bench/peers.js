/**
 * Euglena beside smaller systems that do the same job, on the same engines in the same run: what counts are the ratios.
 * The other systems and the drivers are a folder of their own (`--peers`), whose README describes both.
 *
 *   npm run bench:peers -- --peers <folder> [--tests submit,idle,many] [--rounds 3] [--seconds 10] [--out <file>]
 *   npm run bench:tick -- --peers <folder>      what a tick costs, and the memory of a task that runs
 */
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { startEngines } from './engines.js';
import { freePort } from './private-server.js';

const { console } = globalThis;
const { values: options } = parseArgs({
  options: {
    peers: { type: 'string', default: '../shared/peers' },
    tests: { type: 'string', default: 'submit,idle,many' },
    systems: { type: 'string', default: 'p0,p0-quorum,p0-best,p0-shim' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '10' },
    out: { type: 'string', default: '' },
  },
});

const SECRET = 'a secret of this benchmark alone, and of nothing else';
const DAY_SECONDS = 86_400;
const PROJECT = resolve(import.meta.dirname, '..');
/** What each test is held against: of which peer, which figure, and how it may compare. */
const COMPARISONS = [
  { test: 'submit', peer: 'p0-quorum', figure: 'rps', what: 'submissions a second', bound: 'at least 0.7' },
  {
    test: 'idle',
    peer: 'p0-best',
    figure: 'done_p50_ms',
    what: 'submit to completed, p50 ms',
    bound: 'at most 1.5',
  },
  {
    test: 'many',
    peer: 'p0',
    figure: 'wall_ms',
    what: '500 x 5 ticks x 200 ms, wall ms',
    bound: 'at most 1',
  },
  {
    test: 'many',
    peer: 'p0-shim',
    figure: 'cpu_s_worker',
    what: 'CPU s of the agent for the 2,500 ticks',
    bound: 'at most 1.5',
  },
];
/** Tasks that run at once in the test `many`. */
const MANY = 500;
const TASK_KB_MAX = 200;

/** A token that both sides take: the peers check the signature, Euglena the claims as well. */
function token() {
  const part = (value) => globalThis.Buffer.from(JSON.stringify(value)).toString('base64url');
  const iat = Math.floor(Date.now() / 1_000);
  const claims = { sub: 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa', role: 'authenticated', aud: 'authenticated' };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ ...claims, iat, exp: iat + DAY_SECONDS })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

/** How the drivers start Euglena. They pass PORT, CONCURRENCY and LLM_URL. No quota: the peers have none. */
function euglena({ REDIS_URL, RABBITMQ_URL }, folder) {
  const settings = [
    `SUPABASE_JWT_SECRET='${SECRET}'`,
    `REDIS_URL=${REDIS_URL}`,
    `RABBITMQ_URL=${RABBITMQ_URL}`,
    `EUGLENA_DATA_DIR=${join(folder, 'data')}`,
    'GATEWAY_TEST_MODE=true RATE_LIMIT_PER_MINUTE=1000000 USER_MAX_ACTIVE_TASKS=100000',
    'HOST=127.0.0.1 LOG_LEVEL=warn',
  ].join(' ');
  const worker = 'PORT=0 AGENT_CONCURRENCY=$CONCURRENCY MODEL_API_URL=$LLM_URL';
  return {
    EUGLENA_DIR: PROJECT,
    EUGLENA_API: `env ${settings} node dist/main.js --role gateway`,
    EUGLENA_WORKER: `env ${settings} ${worker} node dist/main.js --role agent`,
    EUGLENA_CLEAN: `env REDIS_URL=${REDIS_URL} RABBITMQ_URL=${RABBITMQ_URL} node bench/empty-engines.js`,
    REPLY_THINK: '{"thought":"","action":"THINK","argument":"more"}',
    REPLY_EXIT: '{"thought":"","action":"EXIT","argument":"done"}',
  };
}

async function run(command, args, settings) {
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], ...settings });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${command} ${args[0]} ended with ${code}`);
}

function compare({ summary }) {
  return COMPARISONS.flatMap(({ test, peer, figure, what, bound }) => {
    const [own, other] = ['euglena', peer].map((name) => summary[name]?.[test]?.[figure]?.median);
    if (own === undefined || other === undefined) return [];
    return [{ what, euglena: own, peer: `${peer}: ${other}`, ratio: (own / other).toFixed(2), bound }];
  });
}

/** KB (10^3 bytes) by which the agent grows over its idle size for each task that runs. Needs the tests `cold` and `many`. */
function memoryOfTasks({ summary }) {
  return Object.entries(summary).flatMap(([system, { cold, many }]) => {
    const [idle, peak] = [cold?.worker_idle_rss_mb?.median, many?.peak_rss_mb_worker?.median];
    if (idle === undefined || peak === undefined) return [];
    const kb = ((peak - idle) * 1_048.576) / MANY;
    const bound = system === 'euglena' ? `under ${TASK_KB_MAX}` : '';
    return [
      { system, 'idle MiB': idle, [`peak MiB, ${MANY} tasks`]: peak, 'KB a task': Math.round(kb), bound },
    ];
  });
}

// The engines are emptied between the tests, so they are never somebody's own.
for (const name of ['REDIS_URL', 'RABBITMQ_URL', 'RABBITMQ_MANAGEMENT_URL']) delete process.env[name];
const folder = mkdtempSync(join(tmpdir(), 'euglena-peers-'));
const engines = await startEngines(false, { appendfsync: 'everysec' });
try {
  const peers = join(folder, 'peers');
  cpSync(resolve(options.peers), peers, {
    recursive: true,
    filter: (path) => !path.includes('node_modules'),
  });
  await run('chmod', ['-R', 'u+w', peers]);
  // Not `npm ci`: their lock file lacks the optional parts of other platforms.
  await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], { cwd: peers });
  const out = options.out === '' ? join(folder, 'figures.json') : resolve(options.out);
  const { REDIS_URL, RABBITMQ_URL } = engines.env;
  const env = { ...process.env, ...euglena(engines.env, folder), JWT_SECRET: SECRET, TOKEN: token() };
  const systems = `${options.systems},euglena`;
  const { tests, rounds, seconds } = options;
  const [port, stubport] = [await freePort(), await freePort()];
  const flags = Object.entries({ tests, rounds, seconds, port, stubport }).map(
    ([name, value]) => `--${name}=${value}`,
  );
  await run('node', ['drivers/run.js', systems, ...flags, `--out=${out}`], {
    cwd: peers,
    env: { ...env, REDIS_URL, AMQP_URL: RABBITMQ_URL },
  });
  const figures = JSON.parse(readFileSync(out, 'utf8'));
  console.table(compare(figures));
  console.table(memoryOfTasks(figures));
} finally {
  await engines.close();
  rmSync(folder, { recursive: true, force: true });
}
