/**
 * How well the agent answers: asks it every question of `questions.json` over the documents of `corpus/`, and judges its answers,
 * its citations and its ticks. Needs a build (`dist/`).
 *
 *   npm run bench:quality -- [--only single] [--max-ticks 10] [--concurrency 8] [--failures] [--write]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { startRole } from '../role-process.js';
import { layOut, readQuestions } from './corpus.js';
import { report, shortfalls } from './report.js';
import { judge, tableOf } from './scoring.js';

const { console, fetch } = globalThis;
const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    'max-ticks': { type: 'string', default: '10' },
    concurrency: { type: 'string', default: '8' },
    failures: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});

/** The offline model, and those that the environment names: `MODEL_NAME` may be a list, with commas. */
function models() {
  const { MODEL_API_URL, OPENAI_API_KEY, MODEL_NAME = 'gpt-4o-mini' } = process.env;
  const offline = { name: 'extractive', settings: {} };
  if (!MODEL_API_URL && !OPENAI_API_KEY) return [offline];
  const passedOn = Object.entries(process.env).filter(([key]) => /^(?:MODEL|OPENAI)_/.test(key));
  const named = MODEL_NAME.split(',').map((name) => name.trim());
  return [
    offline,
    ...named.map((name) => ({ name, settings: { ...Object.fromEntries(passedOn), MODEL_NAME: name } })),
  ];
}

/** Asks all questions at once; the agent works on some at a time. */
async function askAll({ settings }, questions, corpus) {
  const role = await startRole({
    ...settings,
    SEARCH_CORPUS_DIR: corpus,
    AGENT_CONCURRENCY: options.concurrency,
    DAILY_TICK_LIMIT: '1000000',
  });
  try {
    const asked = questions.map(async (question) => {
      const run = await ask(role, question);
      return { question, run, verdict: judge(question, run) };
    });
    return await Promise.all(asked);
  } finally {
    await role.stop();
  }
}

async function ask({ url, token }, { mandate }) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const maxTicks = Number(options['max-ticks']);
  const body = JSON.stringify({ mandate, max_ticks: maxTicks });
  const submitted = await fetch(`${url}/tasks`, { method: 'POST', headers, body });
  if (submitted.status !== 202) throw new Error(`${submitted.status}: ${await submitted.text()}`);
  const { correlation_id: id } = await submitted.json();
  // The stream ends with the task.
  const events = await (await fetch(`${url}/tasks/${id}/events`, { headers })).text();
  const task = await (await fetch(`${url}/tasks/${id}`, { headers })).json();
  return {
    answer: task.result?.answer ?? '',
    error: task.error?.code ?? null,
    sources: task.result?.sources ?? [],
    visited: visitedIn(events),
    ticks: events.match(/^event: tick$/gm)?.length ?? 0,
    maxTicks,
  };
}

/** The addresses that the journal has as read. */
function visitedIn(events) {
  const entries = [...events.matchAll(/^data: (.*)$/gm)].map(([, json]) => JSON.parse(json));
  return entries.flatMap(({ data }) => data?.source?.url ?? []);
}

function printFailures(judged) {
  for (const { question, run, verdict } of judged) {
    if (verdict.right && verdict.citationsValid && verdict.withinBudget) continue;
    console.log(`\n${question.id} (${question.kind}): ${question.mandate}`, verdict, run.error ?? '');
    console.log(run.answer, '\n', run.sources.map(({ id, url }) => `${id}: ${url}`).join(', '));
  }
}

const corpus = mkdtempSync(join(tmpdir(), 'euglena-quality-'));
try {
  layOut(corpus);
  const questions = readQuestions().filter(({ id, kind }) => `${kind} ${id}`.includes(options.only));
  if (questions.length === 0) throw new Error(`There is no question with "${options.only}".`);
  const tables = [];
  for (const model of models()) {
    const judged = await askAll(model, questions, corpus);
    if (options.failures) printFailures(judged);
    tables.push({ model: model.name, table: tableOf(judged) });
  }
  const text = report(tables);
  console.log(text);
  if (options.write) writeFileSync(join(import.meta.dirname, 'RESULTS.md'), text);
  const missing = tables.flatMap(shortfalls);
  missing.forEach((line) => console.error(line));
  process.exitCode = missing.length === 0 ? 0 : 1;
} finally {
  rmSync(corpus, { recursive: true, force: true });
}
