import { describe, expect, it } from '@jest/globals';
import { type Action } from '../domain/action.js';
import { type Observation, type TickRecord } from '../domain/situation.js';
import { broughtBefore, isStuck } from './repetition.js';

const visitOf = (argument: string): Action => ({ name: 'VISIT', argument, thought: '' });
const read = (url: string): Observation => ({
  text: 'It has a flagellum.',
  failed: false,
  source: { id: 's1', url, title: 'Euglena', retrievedAt: 0, sha256: '' },
});
const tick = (action: Action, observation: Observation | null, number = 3): TickRecord => ({
  tick: number,
  action,
  observation,
});

describe('an action that was carried out before', () => {
  it('brings what it brought, with the tick and the source', () => {
    const history = [tick(visitOf('https://example.com/'), read('https://example.com/'))];
    expect(broughtBefore(history, visitOf('https://example.com/'))).toEqual({
      text: 'This was done in tick 3 already, as s1, and is not done again. It brought:\nIt has a flagellum.',
      failed: false,
    });
  });

  it('is a VISIT of the same address in another spelling, or of the one that a redirect led to', () => {
    const history = [tick(visitOf('https://example.com/start'), read('https://example.com/end?a=1'))];
    for (const url of ['https://EXAMPLE.com:443/start#x', ' https://example.com/end?a=1']) {
      expect(broughtBefore(history, visitOf(url))?.text).toContain('flagellum');
    }
    expect(broughtBefore(history, visitOf('https://example.com/end?a=2'))).toBeNull();
    expect(broughtBefore(history, { ...visitOf('https://example.com/start'), name: 'SEARCH' })).toBeNull();
  });

  it('is not one that failed or was interrupted, nor a note', () => {
    const visit = visitOf('corpus:euglena.md');
    expect(broughtBefore([tick(visit, { text: 'no', failed: true })], visit)).toBeNull();
    expect(broughtBefore([tick(visit, null)], visit)).toBeNull();
    const note: Action = { name: 'THINK', argument: 'so', thought: '' };
    expect(broughtBefore([tick(note, { text: 'Noted.', failed: false })], note)).toBeNull();
  });

  it('brings a bounded text', () => {
    const visit = visitOf('corpus:long.md');
    const long = tick(visit, { ...read('corpus:long.md'), text: 'x'.repeat(10_000) });
    expect(broughtBefore([long], visit)?.text).toHaveLength(8_000);
  });
});

describe('a run that is stuck', () => {
  it('chose the same action five times in a row, and not four', () => {
    const same = Array.from({ length: 5 }, (_, index) => tick(visitOf('a'), read('a'), index + 1));
    expect(isStuck(same)).toBe(true);
    expect(isStuck(same.slice(1))).toBe(false);
    expect(isStuck([...same.slice(0, 4), tick(visitOf('b'), read('b'), 5)])).toBe(false);
  });
});
