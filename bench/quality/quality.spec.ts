import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';

interface Fact {
  readonly says?: string;
  readonly date?: string;
  readonly in: string | readonly string[];
}
interface Question {
  readonly id: string;
  readonly kind: string;
  readonly mandate: string;
  readonly facts: readonly Fact[];
  readonly wrong?: readonly string[];
  readonly absent?: readonly string[];
}

// Programs of the benchmark are JavaScript; they run without a build.
const module = async (name: string) => import(new URL(`./${name}.js`, import.meta.url).href);
const { citedIds, judge, normalised, pathsOf, patternOf, tableOf } = await module('scoring');
const { documentPaths, fileOf, readQuestions } = await module('corpus');
const { report, shortfalls } = await module('report');

const questions: readonly Question[] = readQuestions();
const paths: readonly string[] = documentPaths();
const texts = new Map(paths.map((path) => [path, normalised(readFileSync(fileOf(path), 'utf8')) as string]));
const shipped = paths.filter((path) => !path.startsWith('project/'));

describe('the questions', () => {
  it('are enough, of every kind, each with an id of its own', () => {
    expect(questions.length).toBeGreaterThanOrEqual(60);
    expect(new Set(questions.map(({ id }) => id)).size).toBe(questions.length);
    const kinds = new Set(questions.map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual(['misleading', 'multi', 'none', 'single']);
  });

  it('are asked over enough documents, which name their sources or say what is wrong with them', () => {
    expect(shipped.length).toBeGreaterThanOrEqual(40);
    const nameless = shipped.filter(
      (path) => !/sources:|_an? (?:out-of-date )?page|copied|blog/.test(path + texts.get(path)),
    );
    expect(nameless).toEqual([]);
  });

  it.each(
    questions.filter(({ kind }) => kind !== 'none').map((question) => [question.id, question] as const),
  )('%s has its answer in its sources', (_, { kind, facts, wrong = [] }) => {
    expect(facts.length).toBeGreaterThan(0);
    for (const fact of facts) {
      const without = pathsOf(fact).filter((path: string) => !patternOf(fact).test(texts.get(path)));
      expect(without).toEqual([]);
    }
    const sources = new Set(facts.map(({ in: from }) => String(from)));
    if (kind === 'multi') expect(sources.size).toBeGreaterThan(1);
    else expect(sources.size).toBe(1);
    // What misleads stands in some document, but not in the right one.
    expect(wrong.length > 0).toBe(kind === 'misleading');
    for (const pattern of wrong) {
      const misleading = shipped.filter((path) => new RegExp(pattern).test(texts.get(path) ?? ''));
      expect(misleading.length).toBeGreaterThan(0);
      expect(misleading).not.toContain(facts[0]?.in);
    }
  });

  it.each(
    questions.filter(({ kind }) => kind === 'none').map((question) => [question.id, question] as const),
  )('%s has no answer in any document', (_, { facts, absent = [] }) => {
    expect(facts).toEqual([]);
    expect(absent.length).toBeGreaterThan(0);
    const saying = shipped.filter((path) =>
      absent.every((word) => new RegExp(word).test(texts.get(path) ?? '')),
    );
    expect(saying).toEqual([]);
  });
});

const run = (answer: string, changes = {}) => ({
  answer,
  sources: [
    { id: 's1', url: 'corpus:space/pluto.md' },
    { id: 's2', url: 'corpus:space/guide.md' },
  ],
  visited: ['corpus:space/pluto.md', 'corpus:space/guide.md'],
  ticks: 4,
  maxTicks: 10,
  ...changes,
});
const found = { kind: 'single', facts: [{ says: 'tombaugh', in: 'space/pluto.md' }] };
const unanswerable = { kind: 'none', facts: [] };

describe('judging', () => {
  it('takes a fact with its source for right', () => {
    const verdict = judge(found, run('Clyde **Tombaugh** found it [s1].'));
    expect(verdict).toEqual({
      answered: true,
      sourced: true,
      right: true,
      citationsValid: true,
      withinBudget: true,
    });
  });

  it.each([
    ['another fact', 'Percival Lowell found it [s1].', { answered: false, sourced: true, right: false }],
    ['another source', 'Clyde Tombaugh found it [s2].', { answered: true, sourced: false, right: false }],
    ['no citation', 'Clyde Tombaugh found it.', { answered: true, sourced: false, right: false }],
    ['no answer', '', { answered: false, sourced: false, right: false }],
  ])('does not take %s for right', (_, answer, expected) => {
    expect(judge(found, run(answer))).toMatchObject(expected);
  });

  it('wants every source of a question that has several', () => {
    const both = { kind: 'multi', facts: [...found.facts, { says: 'nine', in: ['space/guide.md', 'a.md'] }] };
    expect(judge(both, run('Tombaugh [s1]. Nine [s1].')).right).toBe(false);
    expect(judge(both, run('Tombaugh and nine [s1, s2].')).right).toBe(true);
  });

  it('refuses an answer that also says what misleads', () => {
    const misleading = { ...found, kind: 'misleading', wrong: ['nine planets'] };
    expect(judge(misleading, run('Tombaugh [s1]. There are nine planets [s2].')).answered).toBe(false);
    expect(judge(misleading, run('Tombaugh [s1]. There are eight planets.')).answered).toBe(true);
  });

  it.each([
    'The documents that were read do not answer this: [s1]',
    'No document was found that answers this.',
    'This is not mentioned in any source.',
    "The documents don't say.",
    'I was unable to determine this.',
  ])('takes for an answer that it is not known: %s', (answer) => {
    expect(judge(unanswerable, run(answer)).right).toBe(true);
    expect(judge(unanswerable, run('It was drawn by Clyde Tombaugh [s1].')).right).toBe(false);
  });

  it('finds citations of pages that are not listed, or were not read', () => {
    expect(judge(found, run('Tombaugh [s1, s7].')).citationsValid).toBe(false);
    expect(judge(found, run('Tombaugh [s2].', { visited: ['corpus:space/pluto.md'] })).citationsValid).toBe(
      false,
    );
    expect(citedIds('One [s1][s2]. Two [s2, s3]; [x1], [s].')).toEqual(['s1', 's2', 's3']);
  });

  it('counts the ticks against the budget', () => {
    expect(judge(found, run('', { ticks: 11 })).withinBudget).toBe(false);
  });

  it.each([
    'on 25 August 2012',
    'August 25th, 2012',
    'Aug. 25, 2012',
    '2012-08-25',
    'the 25th of August 2012',
  ])('reads the date %s', (text) => {
    const date = patternOf({ date: '2012-08-25' });
    expect(normalised(text)).toMatch(date);
    expect(normalised('5 August 2012, 25 August 2011')).not.toMatch(date);
  });

  it('reads a number with any marks between its thousands', () => {
    expect(normalised('8,848.86 m, 299 792 458, 1,2,3')).toBe('8848.86 m, 299792458, 1,2,3');
  });
});

describe('the report', () => {
  const verdict = judge(found, run('Tombaugh [s1].'));
  const judged = (verdicts: object) => [
    { question: found, run: run('Tombaugh [s1].'), verdict: { ...verdict, ...verdicts } },
  ];
  const of = (model: string, verdicts: object) => ({ model, table: tableOf(judged(verdicts)) });

  it('has a line for each model and kind', () => {
    const text = report([of('one', {}), of('two', { right: false })]);
    expect(text).toMatch(/\| one +\| single +\| 1 +\| 100 % +\|/);
    expect(text).toMatch(/\| two +\| all +\| 1 +\| 0 % +\| 100 % +\|/);
  });

  it('names what is below what is promised', () => {
    expect(shortfalls(of('extractive', {}))).toEqual([]);
    expect(shortfalls(of('extractive', { right: false }))).toEqual([expect.stringContaining('0 %')]);
    expect(shortfalls(of('gpt', { right: false }))).toEqual([]);
    expect(shortfalls(of('gpt', { citationsValid: false }))).toHaveLength(1);
    expect(shortfalls(of('gpt', { withinBudget: false }))).toHaveLength(1);
  });
});
