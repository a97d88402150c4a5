import { setTimeout as delay } from 'node:timers/promises';
import process from 'node:process';

const { AbortSignal, fetch, URL } = globalThis;

/**
 * Drives a deployed gateway through what its users do: it is healthy, it counts agents (Flow 3), it takes a task (Flow 1) and
 * shows it until it has ended (Flow 2), and it lets nobody in without a token. One line for each step; ends with 1 if one failed.
 *
 *   EUGLENA_TOKEN=<access token> npm run smoke -- https://euglena.example.com
 */
const REQUEST_MS = 30_000;
const TASK_MS = 300_000;
const LOOK_AGAIN_MS = 2_000;
const MANDATE = 'Say in one sentence what Euglena is.';
const TERMINAL = ['completed', 'error', 'cancelled'];

const [url = process.env.EUGLENA_URL ?? ''] = process.argv.slice(2);
const token = process.env.EUGLENA_TOKEN ?? '';
if (!URL.canParse(url) || token === '') {
  process.stderr.write('usage: EUGLENA_TOKEN=<access token> npm run smoke -- <url of the gateway>\n');
  process.exit(2);
}

/** A request that must be answered with this status; its body. */
async function expectStatus(status, path, { authorized = false, ...init } = {}) {
  const response = await fetch(new URL(path, url), {
    ...init,
    headers: {
      ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(authorized ? { authorization: `Bearer ${token}` } : {}),
    },
    signal: AbortSignal.timeout(REQUEST_MS),
    redirect: 'error',
  });
  const text = await response.text();
  if (response.status !== status) {
    throw new Error(`expected ${status}, got ${response.status}: ${text.slice(0, 500)}`);
  }
  return JSON.parse(text);
}

const submission = (authorized) => ({
  authorized,
  method: 'POST',
  body: JSON.stringify({ mandate: MANDATE, max_ticks: 3 }),
});
let task;

const steps = {
  'Health: GET /health': async () => {
    await expectStatus(200, '/health');
  },
  'Flow 3: GET /agents/count': async () => {
    const { count } = await expectStatus(200, '/agents/count');
    if (!(count >= 1)) throw new Error(`${count} agents live, so no task can be worked on`);
    return `${count} agents`;
  },
  'Flow 1: POST /tasks without a token': async () => {
    await expectStatus(401, '/tasks', submission(false));
    return 'refused';
  },
  'Flow 1: POST /tasks': async () => {
    task = await expectStatus(202, '/tasks', submission(true));
    return `${task.correlation_id} is ${task.status}`;
  },
  'Flow 2: GET /tasks/{correlation_id}': async () => {
    if (task === undefined) throw new Error('there is no task to get');
    const deadline = Date.now() + TASK_MS;
    let seen = task;
    while (!TERMINAL.includes(seen.status)) {
      if (Date.now() > deadline) throw new Error(`still ${seen.status} after ${TASK_MS / 1_000} s`);
      await delay(LOOK_AGAIN_MS);
      seen = await expectStatus(200, `/tasks/${task.correlation_id}`, { authorized: true });
    }
    if (seen.status !== 'completed') throw new Error(`the task ended as ${seen.status}: ${seen.error ?? ''}`);
    return `completed after ${seen.tick} ticks`;
  },
  'Flow 2: GET /tasks/{correlation_id} of nobody': async () => {
    await expectStatus(404, '/tasks/00000000-0000-4000-8000-000000000000', { authorized: true });
    return 'not found';
  },
};

let failed = 0;
for (const [name, step] of Object.entries(steps)) {
  const began = Date.now();
  const report = (word, detail = '') =>
    process.stdout.write(`${word} ${name} (${Date.now() - began} ms)${detail ? `: ${detail}` : ''}\n`);
  try {
    report('ok  ', await step());
  } catch (error) {
    failed += 1;
    const cause = error.cause === undefined ? '' : ` (${error.cause.message})`;
    report('FAIL', `${error.message}${cause}`);
  }
}
process.stdout.write(
  failed === 0 ? 'All steps passed.\n' : `${failed} of ${Object.keys(steps).length} steps failed.\n`,
);
process.exit(failed === 0 ? 0 : 1);
