import { describe, expect, it } from '@jest/globals';
import { type Action } from '../domain/action.js';
import { type Observation, type Situation, type TickRecord } from '../domain/situation.js';
import { type Source } from '../domain/task.js';
import { BUDGET_ENDED, bestKnown as best } from './answer.js';

const source = (id: string): Source => ({
  id,
  url: `corpus:${id}.md`,
  title: id,
  retrievedAt: 0,
  sha256: '0'.repeat(64),
});
const tick = (name: Action['name'], argument: string, observation: Observation | null): TickRecord => ({
  tick: 1,
  action: { name, argument, thought: '' },
  observation,
});
const situation = (history: TickRecord[], recalled: Situation['recalled'] = []): Situation => ({
  mandate: 'm',
  outputSchema: null,
  tick: history.length + 1,
  maxTicks: 4,
  mustExit: true,
  history,
  sources: [],
  recalled,
});
const HITS = tick('SEARCH', 'q', {
  text: 'list',
  failed: false,
  hits: [{ url: 'corpus:a.md', title: 'A', snippet: 'about a' }],
});
const PAGE = tick('VISIT', 'corpus:a.md', { text: 'the page', failed: false, source: source('s1') });
const NOTE = tick('THINK', 'the note', { text: 'Noted.', failed: false });
const UNREAD = tick('THINK', '(unreadable)', { text: 'The reply could not be read', failed: true });

const bestKnown = (known: Situation) => best(known).argument;

describe('bestKnown', () => {
  it('says so when nothing is known', () => {
    expect(bestKnown(situation([]))).toBe('No answer was found within the budget of 4 ticks.');
    expect(bestKnown(situation([UNREAD]))).toBe('No answer was found within the budget of 4 ticks.');
  });

  it('lists what was found when nothing was read', () => {
    expect(bestKnown(situation([HITS]))).toContain('Found but not read: A (corpus:a.md)');
  });

  it('prefers what was read to what was found', () => {
    const text = bestKnown(situation([HITS, PAGE]));
    expect(text).toContain('the page [s1]');
    expect(text).not.toContain('Found but not read');
  });

  it('puts the note first, then passages from memory instead of the last page', () => {
    const text = bestKnown(situation([NOTE, PAGE, UNREAD], [{ sourceId: 's2', text: 'a passage' }]));
    expect(text.indexOf('the note')).toBeLessThan(text.indexOf('a passage [s2]'));
    expect(text).toContain('the note');
    expect(text).not.toContain('the page');
  });

  it('is the answer that was given before the budget was extended, unless that was the best known too', () => {
    const answered = (thought: string): TickRecord => ({
      tick: 4,
      action: { name: 'EXIT', argument: 'With one flagellum [s1].', thought },
      observation: { text: 'The answer was given.', failed: false },
    });
    expect(bestKnown(situation([PAGE, answered('known'), NOTE]))).toBe('With one flagellum [s1].');
    expect(bestKnown(situation([PAGE, answered(BUDGET_ENDED), NOTE]))).toContain('the note');
  });
});
