import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type EnginesOnTheWire, startEnginesOnTheWire } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { openStage, type Stage, thinker } from '../support/stage.js';

/** `euglena up --autoscale` over Redis and RabbitMQ; `npm run bench:local-fleet` does the same with 60 tasks and 11 agents. */

const STARTING_MS = 120_000;
const SLOW_MS = 40_000;
const [MOST, TASKS] = [2, 5];

let engines: EnginesOnTheWire;
let stage: Stage;
beforeAll(async () => {
  engines = await startEnginesOnTheWire();
}, STARTING_MS);
afterAll(async () => {
  await stage.close();
  await engines.clean();
  await engines.stop();
}, STARTING_MS);

interface Decisions {
  readonly decisions: readonly { readonly desired: number | null }[];
}

it('grows with the work and shrinks after it, interrupts no task, and replaces an agent that dies', async () => {
  stage = await openStage(thinker(2, 1_500));
  const up = await stage.start('all', {
    EUGLENA_AUTOSCALE: 'true',
    AUTOSCALER_INTERVAL_SECONDS: '1',
    SCALE_IN_AFTER_SECONDS: '5',
    MAX_WORKERS: String(MOST),
    REDIS_URL: engines.redis.url,
    RABBITMQ_URL: engines.rabbitmqUrl,
    QUEUE_NAME: engines.freshQueue(),
  });
  const api = await stage.api(up);
  const children = () =>
    readFileSync(`/proc/${up.pid}/task/${up.pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  const settledAt = (count: number) =>
    eventually(
      `${count} agents are wanted, run and say that they live`,
      async () => {
        const { decisions } = (await (await api.request('/autoscaler/decisions')).json()) as Decisions;
        const counts = [decisions[0]?.desired, children().length, await api.agents()];
        return counts.every((one) => one === count) ? children() : null;
      },
      SLOW_MS,
    );
  const [first = ''] = await settledAt(1);

  const ids = await api.submitAll(Array.from({ length: TASKS }, (_, number) => `Task ${number + 1}`));
  await settledAt(MOST);
  const journals = await Promise.all(ids.map((id) => api.journal(id)));
  await settledAt(1);
  for (const journal of journals) {
    expect(journal.filter(({ type }) => type === 'accepted')).toHaveLength(1);
    expect(journal.at(-1)?.data.status).toBe('completed');
  }
  const [left = ''] = children();
  process.kill(Number(left), 'SIGKILL');
  await eventually('another one runs', () => children().length === 1 && children()[0] !== left, SLOW_MS);
  const [next = ''] = await settledAt(1);
  expect([first, left]).not.toContain(next);
}, 150_000);
