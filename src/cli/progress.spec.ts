import { describe, expect, it } from '@jest/globals';
import { chain, EMPTY_HEAD } from '../domain/journal.js';
import { formatResult } from './outcome.js';
import { Progress, progressBar } from './progress.js';

const ENTRIES = chain(EMPTY_HEAD, [
  { type: 'submitted', at: 1, data: { mandate: 'm', max_ticks: 12 } },
  { type: 'tick', at: 2, data: { tick: 1, action: 'SEARCH', argument: 'two\nlines \u001b[2J', thought: '' } },
  { type: 'observation', at: 3, data: { tick: 1, text: 'found' } },
  { type: 'tick', at: 4, data: { tick: 2, action: 'EXIT', argument: 'The answer.', thought: 'Enough.' } },
]);

function shown(isTTY: boolean, env: Record<string, string> = {}): string {
  let text = '';
  const progress = new Progress({ write: (piece) => (text += piece), isTTY, columns: 60 }, env);
  ENTRIES.forEach((entry) => progress.show(entry));
  progress.clear();
  return text;
}

describe('Progress', () => {
  it('is a plain line for each tick where nobody watches', () => {
    expect(shown(false)).toBe('tick 1/12  SEARCH  two lines\ntick 2/12  EXIT    Enough.\n');
  });

  it('has colours and a bar, which goes away again, on a terminal', () => {
    const text = shown(true);
    expect(text).toContain('\u001b[36mSEARCH\u001b[39m');
    expect(text).toContain(`${progressBar(2, 12)}\r\u001b[K`);
    expect(text.endsWith('\r\u001b[K')).toBe(true);
  });

  it('has no colours with NO_COLOR', () => {
    expect(shown(true, { NO_COLOR: '1' })).not.toContain('\u001b[36m');
  });

  it('fills the bar up to its end and no further', () => {
    expect(progressBar(3, 12)).toBe(`[${'#'.repeat(6)}${'.'.repeat(18)}] 3/12`);
    expect(progressBar(9, 0)).toBe(`[${'.'.repeat(24)}] 9/0`);
    expect(progressBar(20, 10)).toBe(`[${'#'.repeat(24)}] 20/10`);
  });
});

describe('formatResult', () => {
  const result = {
    answer: 'Yes [s1].\u001b[2J\n',
    exit_reason: 'answered',
    unsupported: [],
    data: null,
    data_error: null,
    model: 'm',
    receipt: 'r',
  };

  it('lists the sources below the answer', () => {
    const sources = [{ id: 's1', title: 'A\ntitle', url: 'https://example.org/' }];
    expect(formatResult({ ...result, sources })).toBe(
      'Yes [s1].\n\nSources\n  [s1] A title\n       https://example.org/\n',
    );
  });

  it('ends with the data, or with why there is none', () => {
    const data = { a: '\u001b' };
    expect(formatResult({ ...result, sources: [], data })).toBe(
      'Yes [s1].\n\nData\n{\n  "a": "\\u001b"\n}\n',
    );
    expect(formatResult({ ...result, sources: [], data_error: '#/a: too\nlong' })).toBe(
      'Yes [s1].\n\nNo data: #/a: too long\n',
    );
  });

  it('is the answer alone without sources', () => {
    expect(formatResult({ ...result, sources: [] })).toBe('Yes [s1].\n');
  });
});
