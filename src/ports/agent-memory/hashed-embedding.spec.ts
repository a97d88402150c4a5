import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { HashedEmbedding } from './hashed-embedding.js';

const embedding = new HashedEmbedding();
const one = async (text: string) => (await embedding.embed([text]))[0] ?? [];
const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
const likeness = async (a: string, b: string) => dot(await one(a), await one(b));

describe('hashed words', () => {
  it('have 384 numbers and the length 1, whatever has a letter or digit in it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 60 }), async (text) => {
        const vector = await one(text);
        expect(vector).toHaveLength(384);
        const length = Math.hypot(...vector);
        if (/[\p{L}\p{N}]/u.test(text)) expect(length).toBeCloseTo(1, 10);
        else expect(length === 0 || Math.abs(length - 1) < 1e-9).toBe(true);
      }),
    );
  });

  it('are the same on every machine', async () => {
    const vector = await one('eyespot');
    expect(vector.map((value, place) => [place, value]).filter(([, value]) => value !== 0)).toEqual([
      [162, -1],
    ]);
  });

  it.each([
    ['the forms of a word', 'swimming', 'swims'],
    ['upper and lower case', 'CHLOROPLASTS', 'chloroplast'],
    ['accents', 'Zoë Café', 'zoe cafe'],
    ['composed and decomposed letters', 'Zo\u00eb', 'Zoe\u0308'],
    ['stop words beside others', 'the light of the sun', 'light, sun'],
  ])('do not tell %s apart', async (_what, a, b) => {
    expect(await likeness(a, b)).toBeCloseTo(1, 10);
  });

  it('compare stop words when there is nothing else', async () => {
    expect(await likeness('who are you', 'who are they')).toBeGreaterThan(0.3);
  });

  it('are closer for more shared words, and for the same order', async () => {
    const need = 'free port of Trieste';
    const both = await likeness(need, 'Trieste was a free port.');
    expect(both).toBeGreaterThan(await likeness(need, 'Trieste was a harbour.'));
    expect(both).toBeGreaterThan(await likeness(need, 'Trieste, port, free.'));
    expect(Math.abs(await likeness(need, 'Euglena swims towards light.'))).toBeLessThan(0.3);
  });
});
