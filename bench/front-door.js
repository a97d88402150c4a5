/**
 * What identity, validation and quota cost at submission: the embedded gateway with them against the same gateway without,
 * in turns. Needs a build (`dist/`).
 *
 *   npm run bench:front-door -- [--seconds 5] [--rounds 5]
 */
import { spawn } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';

const { console, performance, Buffer } = globalThis;
const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '5' }, rounds: { type: 'string', default: '5' } },
});
const SECRET = 'a secret of this benchmark alone, and of nothing else';
const CONNECTIONS = 32;
const USERS = 500;
/** The share of the throughput that may be lost. */
const LOSS_MAX = 0.25;
const BODY = JSON.stringify({ mandate: 'Find out what this costs.', max_ticks: 5 });

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

function tokenOf(user) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const iat = Math.floor(Date.now() / 1_000);
  const claims = { sub: user, role: 'authenticated', aud: 'authenticated', iat, exp: iat + 86_400 };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

async function startGateway(settings) {
  const folder = mkdtempSync(join(tmpdir(), 'euglena-front-door-'));
  const { PATH, HOME } = process.env;
  const fixed = { PATH, HOME, EUGLENA_DATA_DIR: folder, LOG_LEVEL: 'error', SUPABASE_JWT_SECRET: SECRET };
  const unlimited = {
    RATE_LIMIT_PER_MINUTE: '1000000',
    USER_MAX_ACTIVE_TASKS: '100000',
    DAILY_TICK_LIMIT: '1000000',
  };
  const child = spawn(process.execPath, [join(import.meta.dirname, 'bare-gateway.js')], {
    cwd: folder,
    env: { ...fixed, ...unlimited, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  let url = '';
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    url += chunk;
    if (/http:\S+\n/.test(url)) break;
  }
  return {
    url: /http:\S+/.exec(url)[0],
    stop: async () => {
      child.kill('SIGTERM');
      await exit;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Submissions a second over a closed loop; every answer must be 202. */
async function throughput(url, path, headersOf) {
  const pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1 });
  const end = performance.now() + Number(options.seconds) * 1_000;
  let done = 0;
  const loop = async (number) => {
    for (let turn = number; performance.now() < end; turn += CONNECTIONS) {
      const answer = await pool.request({
        path,
        method: 'POST',
        headers: headersOf(turn % USERS),
        body: BODY,
      });
      await answer.body.dump();
      if (answer.statusCode !== 202) throw new Error(`the gateway answered ${answer.statusCode}`);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, number) => loop(number)));
  await pool.close();
  return done / Number(options.seconds);
}

const users = Array.from({ length: USERS }, () => randomUUID());
const json = { 'content-type': 'application/json' };
const withAll = users.map((user) => ({ ...json, authorization: `Bearer ${tokenOf(user)}` }));
const without = users.map((user) => ({ ...json, 'x-user': user }));

const ratios = [];
const rates = { all: [], bare: [] };
for (let round = 0; round < Number(options.rounds); round += 1) {
  // Fresh folders each time: neither side meets a larger database than the other.
  const whole = await startGateway({});
  const all = await throughput(whole.url, '/tasks', (user) => withAll[user]);
  await whole.stop();
  const bare = await startGateway({ GATEWAY_TEST_MODE: 'true' });
  const rest = await throughput(bare.url, '/bare', (user) => without[user]);
  await bare.stop();
  rates.all.push(all);
  rates.bare.push(rest);
  ratios.push(all / rest);
}
console.table([
  {
    what: 'submissions a second with identity, validation and quota',
    median: Math.round(median(rates.all)),
    without: Math.round(median(rates.bare)),
    ratio: median(ratios).toFixed(2),
    target: `at least ${1 - LOSS_MAX}`,
  },
]);
