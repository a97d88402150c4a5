import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seeded } from '../random.js';
import { recorded, SCENARIOS, serviceTimes, tasksOf } from './arrivals.js';
import { drawCurves } from './curves.js';
import { POLICIES } from './policies.js';
import { simulate } from './simulate.js';

const { console } = globalThis;
const TARGET_SECONDS = 300;
const COLUMNS = [
  ['median wait', (run) => seconds(run.medianWait)],
  ['95 % wait', (run) => seconds(run.p95Wait)],
  ['longest wait', (run) => seconds(run.maxWait)],
  ['started in 300 s', (run) => `${(100 * run.startedWithin(TARGET_SECONDS)).toFixed(1)} %`],
  ['worker-hours', (run) => run.workerHours.toFixed(1)],
  ['busy asked to stop', (run) => String(run.busyAskedToStop)],
  ['flaps', (run) => String(run.flaps)],
];
/** The policies whose curves are drawn. */
const DRAWN = ['backlog (default)', 'queue-depth', 'KEDA over HTTP'];

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    start: { type: 'string', default: '45' },
    lag: { type: 'string' },
    recorded: { type: 'string' },
    'mean-seconds': { type: 'string', default: '60' },
    images: { type: 'string', default: join(import.meta.dirname, '../../docs/images') },
  },
});
const seed = Number(values.seed);
const startSeconds = Number(values.start);
const policies = POLICIES.map((policy) =>
  values.lag === undefined || policy.lagSeconds === 0
    ? policy
    : { ...policy, lagSeconds: Number(values.lag) },
);

for (const scenario of scenarios()) {
  const tasks = scenario.tasks(seeded(seed));
  const endSeconds = Math.max(86_400, tasks.at(-1)?.at ?? 0);
  const runs = policies.map((policy) => ({
    name: policy.name,
    ...simulate(tasks, policy, { startSeconds, endSeconds }),
  }));
  print(scenario, tasks.length, runs);
  if (scenario.zoom !== undefined) draw(scenario, runs);
}

function scenarios() {
  if (values.recorded === undefined) {
    return SCENARIOS.map((scenario) => ({ ...scenario, tasks: (random) => tasksOf(scenario, random) }));
  }
  const text = readFileSync(values.recorded, 'utf8');
  const mean = Number(values['mean-seconds']);
  return [{ name: values.recorded, mean, tasks: (random) => recorded(text, serviceTimes(random, mean)) }];
}

function print({ name, mean }, count, runs) {
  console.log(`\n${name}: ${count} tasks, ${mean} s each in the mean`);
  const rows = [
    ['policy', ...COLUMNS.map(([title]) => title)],
    ...runs.map((run) => [run.name, ...COLUMNS.map(([, cell]) => cell(run))]),
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
    );
    console.log(`  ${cells.join('  ')}`.trimEnd());
  }
}

function draw({ name, zoom }, runs) {
  mkdirSync(values.images, { recursive: true });
  const file = join(values.images, `fleet-${name.split(/[ ,]/)[0]}.svg`);
  const drawn = runs.filter((run) => DRAWN.includes(run.name));
  writeFileSync(file, drawCurves(name[0].toUpperCase() + name.slice(1), drawn, zoom));
}

function seconds(value) {
  return `${value.toFixed(0)} s`;
}
