import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { temporaryDataDir } from '../../test/support/data-dir.js';
import { canonicalJson, chain, EMPTY_HEAD, entryToJson, sha256 } from '../domain/journal.js';
import { runProgram } from './program.js';

const SOURCE = {
  id: 's1',
  url: 'corpus:a.md',
  title: 'A',
  retrieved_at: '2026-01-15T12:00:00.000Z',
  sha256: '1'.repeat(64),
};
const DATA = { b: [1, null], a: 'x' };
const JOURNAL = chain(EMPTY_HEAD, [
  { type: 'submitted', at: 1, data: { mandate: 'm', max_ticks: 5 } },
  { type: 'tick', at: 2, data: { tick: 1, action: 'EXIT', argument: 'Yes.', thought: '', model_calls: 2 } },
  { type: 'observation', at: 2, data: { tick: 1, text: 't', source: SOURCE } },
  {
    type: 'finished',
    at: 3,
    data: { status: 'completed', answer_sha256: sha256('Yes.'), data_sha256: sha256(canonicalJson(DATA)) },
  },
]);
const task = {
  correlation_id: 't1',
  status: 'completed',
  mandate: 'm',
  max_ticks: 5,
  tick: 1,
  result: {
    answer: 'Yes.',
    exit_reason: 'answered',
    sources: [SOURCE],
    data: { a: 'x', b: [1, null] },
    model: 'x',
    receipt: JOURNAL[3]?.hash,
  },
  error: null,
  usage: { ticks: 1, model_calls: 2 },
};
const journal = JOURNAL.map(entryToJson);

describe('a receipt that was saved', () => {
  let dataDir: ReturnType<typeof temporaryDataDir>;
  beforeEach(() => {
    dataDir = temporaryDataDir();
  });
  afterEach(() => dataDir.remove());

  const run = async (...argv: string[]) => {
    const printed = { stdout: '', stderr: '' };
    const code = await runProgram(argv, {
      stdout: { write: (text) => (printed.stdout += text) },
      stderr: { write: (text) => (printed.stderr += text) },
      env: {},
    });
    return { code, ...printed };
  };
  const check = async (evidence: unknown) => {
    const file = join(dataDir.path, 'receipt.json');
    writeFileSync(file, JSON.stringify(evidence));
    return run('verify', file, '--offline');
  };

  it('is checked without a gateway', async () => {
    expect(await check({ task, journal })).toMatchObject({ code: 0, stderr: '' });
  });

  it.each([0, 1, 2, 3])('tells of any change in entry %d', async (index) => {
    const changes = [
      { at: '2026-01-15T12:00:00.000Z' },
      { type: 'released' },
      { data: {} },
      { prev: 'f'.repeat(64) },
      { hash: 'f'.repeat(64) },
      { seq: 9 },
    ];
    for (const change of changes) {
      const changed = journal.map((entry, at) => (at === index ? { ...entry, ...change } : entry));
      expect(await check({ task, journal: changed })).toMatchObject({ code: 1, stdout: '' });
    }
    const without = journal.filter((_, at) => at !== index);
    expect(await check({ task, journal: without })).toMatchObject({ code: 1, stdout: '' });
  });

  it.each([
    [{ url: 'corpus:b.md' }],
    [{ title: 'B' }],
    [{ retrieved_at: '2027-01-15T12:00:00.000Z' }],
    [{ sha256: '2'.repeat(64) }],
    [{ id: 's2' }],
  ])('tells of a source with %j', async (change) => {
    const result = { ...task.result, sources: [{ ...SOURCE, ...change }] };
    const { code, stderr } = await check({ task: { ...task, result }, journal });
    expect(code).toBe(1);
    expect(stderr).toContain('is not one that the journal recorded as read');
  });

  it.each([null, {}, [], { task: {}, journal: [] }, { task, journal: {} }, { task, journal: [1] }])(
    'is none: %j',
    async (evidence) => {
      expect(await check(evidence)).toMatchObject({ code: 1, stdout: '' });
    },
  );

  it('is none where there is no file', async () => {
    const { code, stderr } = await run('verify', join(dataDir.path, 'none.json'), '--offline');
    expect(code).toBe(1);
    expect(stderr).toContain('cannot be read as JSON');
  });
});
