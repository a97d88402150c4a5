import { basename } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';

/** A fault, what is to come of it, and what came. */
interface Row {
  readonly id: string;
  readonly injected: string;
  readonly expected: string;
  outcome: string;
}

const EXPECTATION_WIDTH = 72;
const OUTCOME_MAX_CHARS = 200;

/** The faults of this test file: each has its own copy of this module. */
const rows: Row[] = [];

/**
 * A test that injects a fault. `id` is its number in docs/faults.md; `expected` is said before anything is done. The table
 * of a file's faults is printed behind its last test.
 */
export function fault(
  id: string,
  injected: string,
  expected: string,
  run: () => Promise<void>,
  timeoutMs = 180_000,
): void {
  const row: Row = { id, injected, expected, outcome: 'not run' };
  rows.push(row);
  const test = async () => {
    const start = performance.now();
    row.outcome = 'NOT AS EXPECTED: it did not end in time';
    try {
      await run();
      row.outcome = `as expected (${((performance.now() - start) / 1_000).toFixed(1)} s)`;
    } catch (error) {
      row.outcome = `NOT AS EXPECTED: ${inOneLine(error)}`;
      throw error;
    }
  };
  it(`${id}, ${injected}: ${expected}`, test, timeoutMs);
}

/** Prints case, expectation and outcome of this file's faults. */
export function printFaults(title: string): void {
  const lines = rows.map(
    ({ id, injected, expected, outcome }) =>
      `${id.padEnd(8)}${injected}\n${wrapped(`expected: ${expected}`)}\n        outcome:  ${outcome}`,
  );
  console.log([`Faults: ${title}`, ...lines].join('\n'));
}

afterAll(() => printFaults(basename(expect.getState().testPath ?? '', '.spec.ts')));

function wrapped(text: string): string {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line.length + word.length > EXPECTATION_WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.map((line, index) => `        ${index === 0 ? '' : '          '}${line}`).join('\n');
}

function inOneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s+/g, ' ').slice(0, OUTCOME_MAX_CHARS);
}
