import { describe, expect, it } from '@jest/globals';
import { type Action } from '../domain/action.js';
import { chain, EMPTY_HEAD, entryFromJson, entryToJson, type JournalEvent } from '../domain/journal.js';
import { type Observation } from '../domain/situation.js';
import { observationData, replay } from './replay.js';

const AT = Date.UTC(2026, 0, 15, 12);
const SOURCE = { id: 's1', url: 'corpus:a.md', title: 'A', retrievedAt: AT, sha256: 'ab' };

const tick = (action: Action): JournalEvent => ({
  type: 'tick',
  at: AT,
  data: { thought: action.thought, action: action.name, argument: action.argument },
});
const observed = (observation: Observation): JournalEvent => ({
  type: 'observation',
  at: AT,
  data: observationData(observation),
});
/** The journal as it comes back from a store: through JSON. */
const journal = (...events: JournalEvent[]) =>
  chain(EMPTY_HEAD, events).map((entry) => {
    const read = entryFromJson(JSON.parse(JSON.stringify(entryToJson(entry))));
    if (read === null) throw new Error('the entry cannot be read');
    return read;
  });

const SEARCH: Action = { name: 'SEARCH', argument: 'algae', thought: 'find' };
const VISIT: Action = { name: 'VISIT', argument: 'corpus:a.md', thought: 'read' };
const FOUND: Observation = {
  text: '1. A',
  failed: false,
  hits: [{ url: 'corpus:a.md', title: 'A', snippet: 'about' }],
};
const READ: Observation = { text: 'the page', failed: false, source: SOURCE };

describe('replay', () => {
  it('gives back what was observed, whole', () => {
    const failed: Observation = { text: 'There is no such document.', failed: true };
    const events = [
      tick(SEARCH),
      observed(FOUND),
      tick(VISIT),
      observed(READ),
      tick(VISIT),
      observed(failed),
    ];
    expect(replay(journal(...events))).toEqual({
      history: [
        { tick: 1, action: SEARCH, observation: FOUND },
        { tick: 2, action: VISIT, observation: READ },
        { tick: 3, action: VISIT, observation: failed },
      ],
      sources: [SOURCE],
    });
  });

  it('leaves the observation of an interrupted tick open', () => {
    const { history } = replay(journal(tick(SEARCH), observed(FOUND), tick(VISIT)));
    expect(history.at(-1)).toEqual({ tick: 2, action: VISIT, observation: null });
  });

  it('keeps a source as it was first read, as the run itself does', () => {
    const later = { ...SOURCE, retrievedAt: AT + 1, sha256: 'cd' };
    const events = [tick(VISIT), observed(READ), tick(VISIT), observed({ ...READ, source: later })];
    expect(replay(journal(...events)).sources).toEqual([SOURCE]);
  });

  it('passes over other entries, and an observation without a tick', () => {
    const events: JournalEvent[] = [
      { type: 'submitted', at: AT, data: { mandate: 'm', max_ticks: 3 } },
      observed(FOUND),
      { type: 'accepted', at: AT, data: { worker_id: 'w', attempt: 1 } },
      tick(SEARCH),
      { type: 'released', at: AT, data: { worker_id: 'w', reason: 'drain' } },
    ];
    const expected = { history: [{ tick: 1, action: SEARCH, observation: null }], sources: [] };
    expect(replay(journal(...events))).toEqual(expected);
  });

  it('takes the answer before an extension for done, and an interrupted action for open', () => {
    const EXIT: Action = { name: 'EXIT', argument: 'With cilia.', thought: 'known' };
    const finished: JournalEvent = { type: 'finished', at: AT, data: { status: 'completed' } };
    const extended: JournalEvent = { type: 'extended', at: AT, data: { ticks: 5, max_ticks: 15 } };
    const answered = replay(journal(tick(SEARCH), observed(FOUND), tick(EXIT), finished, extended)).history;
    expect(answered.map(({ action }) => action)).toEqual([SEARCH, EXIT]);
    expect(answered.at(-1)?.observation?.text).toContain('the user extended the budget');
    const failed = replay(journal(tick(VISIT), finished, extended)).history;
    expect(failed).toEqual([{ tick: 1, action: VISIT, observation: null }]);
    expect(replay(journal(extended, finished)).history).toEqual([]);
  });

  it('reads data of another shape without failing', () => {
    const events: JournalEvent[] = [
      { type: 'tick', at: AT, data: { action: 'DANCE', argument: 7 } },
      { type: 'observation', at: AT, data: { text: 1, hits: [null, {}], source: { retrieved_at: 'never' } } },
    ];
    const [record] = replay(journal(...events)).history;
    expect(record?.action).toEqual({ name: 'THINK', argument: '', thought: '' });
    expect(record?.observation?.hits).toEqual([{ url: '', title: '', snippet: '' }]);
    expect(record?.observation?.source?.retrievedAt).toBe(0);
  });
});
