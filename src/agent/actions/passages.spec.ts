import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { partThatMatters, split } from './passages.js';

describe('split', () => {
  it('ends pieces with paragraphs where it can', () => {
    const [a, b, c] = ['a'.repeat(400), 'b'.repeat(500), 'c'.repeat(300)];
    expect(split([a, b, c].join('\n\n'))).toEqual([`${a}\n\n${b}`, c]);
  });

  it.each([
    ['lines', `${'l'.repeat(70)}\n`, /^(?:l{70}\n)+$/],
    ['sentences', `${'In a word, it moves'.repeat(4)}. `, /^In.*\. $/],
    ['words', `${'word'.repeat(9)} `, /^(?:(?:word){9} )+$/],
  ])('ends pieces of a long paragraph with %s', (_what, unit, whole) => {
    const pieces = split(unit.repeat(200));
    expect(pieces.length).toBeGreaterThan(2);
    for (const piece of pieces.slice(0, -1)) expect(piece).toMatch(whole);
  });

  it('loses nothing of any text, and cuts no character', () => {
    const line = fc.string({ unit: 'binary', maxLength: 30 }).map((text) => text.replace(/\s/g, '_'));
    const endless = fc.tuple(line, fc.nat(600)).map(([text, times]) => text.repeat(times));
    fc.assert(
      fc.property(endless, (text) => {
        const pieces = split(text);
        expect(pieces.join('')).toBe(text);
        for (const piece of pieces) {
          expect(piece.length).toBeLessThanOrEqual(2_000);
          expect(Buffer.from(piece).toString()).toBe(piece);
        }
      }),
    );
    expect(split('🦠'.repeat(5_000)).join('')).toBe('🦠'.repeat(5_000));
  });

  it('makes nothing of an empty text', () => {
    expect(split(' \n\n ')).toEqual([]);
  });
});

describe('partThatMatters', () => {
  const pieces = Array.from({ length: 30 }, (_, i) => `Piece ${i} is about sails and ropes.`);
  pieces[12] = 'Where the flagellum grows, light is sensed.';
  pieces[20] = 'A flagellum is a whip.';
  const show = (need: string, limits = { head: 70, total: 160 }) => partThatMatters(pieces, need, limits);

  it('is the beginning and what fits, in the order of the document, with marks between', () => {
    expect(show('the whip of a flagellum')).toBe(
      [pieces[0], pieces[1], '[…]', pieces[12], '[…]', pieces[20], '[…]'].join('\n\n'),
    );
  });

  it('is the beginning and how it goes on when nothing fits', () => {
    expect(show('xylophone')).toBe([...pieces.slice(0, 4), '[…]'].join('\n\n'));
    expect(show('')).toBe(show('xylophone'));
  });

  it('has no marks where nothing is left out', () => {
    expect(show('sails', { head: 9_999, total: 9_999 })).toBe(pieces.join('\n\n'));
  });

  it('keeps to its limits, whatever the need', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (need) => {
        const text = show(need).replaceAll(/\n\n(?:\[…\](?:\n\n)?)?/g, '');
        expect(text.length).toBeLessThanOrEqual(160);
        expect(text.startsWith(pieces[0] ?? '')).toBe(true);
      }),
    );
  });
});
