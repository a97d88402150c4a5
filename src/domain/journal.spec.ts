import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  canonicalJson,
  chain,
  EMPTY_HEAD,
  entryFromJson,
  entryToJson,
  findBreak,
  headAfter,
  JOURNAL_TYPES,
  type JournalEntry,
  type JournalEvent,
} from './journal.js';

/** Any UTF-16, halves of surrogate pairs and control characters among it. */
const anyText = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 })
  .map((units) => String.fromCharCode(...units));
const anyEvent: fc.Arbitrary<JournalEvent> = fc.record({
  type: fc.constantFrom(...JOURNAL_TYPES),
  at: fc.integer({ min: 0, max: Date.UTC(2200, 0) }),
  data: fc.dictionary(fc.oneof(anyText, fc.string()), fc.oneof(fc.jsonValue(), anyText), { maxKeys: 4 }),
});
const anyJournal = fc
  .array(anyEvent, { minLength: 1, maxLength: 6 })
  .map((events) => chain(EMPTY_HEAD, events));

function write(entries: readonly JournalEntry[]): Buffer {
  return Buffer.from(JSON.stringify(entries.map(entryToJson)));
}

/** Reads what {@link write} wrote; null when it is no journal any more. */
function read(bytes: Buffer): JournalEntry[] | null {
  try {
    const json: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (!Array.isArray(json)) return null;
    const entries = json.map(entryFromJson).filter((entry) => entry !== null);
    return entries.length === json.length ? entries : null;
  } catch {
    return null;
  }
}

describe('canonicalJson', () => {
  it('sorts keys by code unit, drops undefined and writes no space', () => {
    const value = { b: [1, undefined, { z: null, a: 'é' }], a: undefined, B: -0, '10': true, '9': 1e21 };
    expect(canonicalJson(value)).toBe('{"10":true,"9":1e+21,"B":0,"b":[1,null,{"a":"é","z":null}]}');
  });

  it('is the same after a round trip, in whatever order the keys come', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const again: unknown = JSON.parse(JSON.stringify(value));
        expect(canonicalJson(again)).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(again);
      }),
    );
    expect(canonicalJson({ a: 1, b: 2 })).toBe(canonicalJson({ b: 2, a: 1 }));
  });
});

describe('a journal', () => {
  it('has the hash that its documentation gives', () => {
    const [entry] = chain(EMPTY_HEAD, [{ type: 'submitted', at: 7, data: { max_ticks: 3, mandate: 'x' } }]);
    const bytes = `[1,"${'0'.repeat(64)}","submitted",7,{"mandate":"x","max_ticks":3}]`;
    expect(entry?.hash).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(entry?.prev).toBe('0'.repeat(64));
  });

  it('holds, whole or continued, before and after it was stored', () => {
    fc.assert(
      fc.property(anyJournal, fc.array(anyEvent, { maxLength: 3 }), (entries, more) => {
        const head = headAfter(EMPTY_HEAD, entries);
        const rest = chain(head, more);
        const stored = read(write([...entries, ...rest])) ?? [];
        expect(stored.map(({ seq }) => seq)).toEqual([...entries, ...rest].map((_, index) => index + 1));
        expect(findBreak(stored)).toBeNull();
        expect(findBreak(stored.slice(entries.length), head)).toBeNull();
        expect(headAfter(EMPTY_HEAD, stored)).toEqual(headAfter(head, rest));
      }),
    );
  });

  it('shows every flipped byte', () => {
    const flip = fc.tuple(anyJournal, fc.nat(), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(flip, ([entries, place, bits]) => {
        const bytes = write(entries);
        const index = place % bytes.length;
        bytes.writeUInt8(bytes.readUInt8(index) ^ bits, index);
        const again = read(bytes);
        if (again === null || findBreak(again) !== null) return;
        // What is left is another spelling of the same JSON, such as \u001F for \u001f.
        expect(canonicalJson(again)).toBe(canonicalJson(entries));
      }),
      { numRuns: 2_000 },
    );
  });

  it('shows every flipped byte of a usual journal, without exception', () => {
    const at = Date.UTC(2026, 0, 15, 12, 34, 56, 789);
    const bytes = write(
      chain(EMPTY_HEAD, [
        { type: 'submitted', at, data: { mandate: 'What is Euglena? 🦠', max_ticks: 3 } },
        {
          type: 'finished',
          at: at + 1,
          data: { status: 'cancelled', usage: { ticks: 0 }, list: [true, 1.5] },
        },
      ]),
    );
    const hidden: string[] = [];
    for (let index = 0; index < bytes.length; index += 1) {
      for (let bits = 1; bits < 256; bits += 1) {
        const flipped = Buffer.from(bytes);
        flipped.writeUInt8(flipped.readUInt8(index) ^ bits, index);
        const entries = read(flipped);
        if (entries !== null && findBreak(entries) === null) hidden.push(flipped.toString());
      }
    }
    expect(hidden).toEqual([]);
  });

  it('shows a lost, a doubled and a moved entry, and is shorter than its head when the end was cut', () => {
    const entries = chain(
      EMPTY_HEAD,
      [1, 2, 3, 4].map((at) => ({ type: 'observation', at, data: {} })),
    );
    const [a, b, c, d] = entries as [JournalEntry, JournalEntry, JournalEntry, JournalEntry];
    expect(findBreak([a, c, d])).toBe(c);
    expect(findBreak([b, c, d])).toBe(b);
    expect(findBreak([a, b, b, c])).toBe(b);
    expect(findBreak([a, c, b, d])).toBe(c);
    expect(findBreak([a, b])).toBeNull();
    expect(headAfter(EMPTY_HEAD, [a, b])).not.toEqual(headAfter(EMPTY_HEAD, entries));
    expect(findBreak([])).toBeNull();
    expect(headAfter(EMPTY_HEAD, [])).toEqual(EMPTY_HEAD);
  });

  it('is not read from anything else', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(entryFromJson(value)).toBeNull();
      }),
    );
    const [entry] = chain(EMPTY_HEAD, [{ type: 'tick', at: 1, data: {} }]).map(entryToJson);
    for (const broken of [
      { type: 'ticks' },
      { seq: 1.5 },
      { seq: '1' },
      { at: '2026' },
      { at: 1 },
      { data: null },
      { prev: null },
      { hash: 1 },
    ]) {
      expect(entryFromJson({ ...entry, ...broken })).toBeNull();
    }
  });
});
