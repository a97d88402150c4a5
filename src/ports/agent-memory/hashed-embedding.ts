import { keyWords, stemOf, wordsOf } from '../language-model/words.js';
import { type TextEmbedding } from './text-embedding.js';

const DIMENSIONS = 384;
const TEXT_MAX_CHARS = 20_000;
/** Two words in a row say more than each of them, but a need seldom repeats a passage's very order. */
const PAIR_WEIGHT = 0.5;
const ACCENTS = /[\u0300-\u036f]/g;

/**
 * Word stems and pairs of them, hashed into 384 signed places and scaled to length 1 ("feature hashing", Weinberger et
 * al. 2009). No model and no weights: texts are close when they share words. The same text gives the same vector on
 * every machine.
 */
export class HashedEmbedding implements TextEmbedding {
  readonly name = `hashed-words-${DIMENSIONS}`;

  async embed(texts: readonly string[]): Promise<number[][]> {
    return texts.map(vectorOf);
  }

  async close(): Promise<void> {
    // Nothing is open.
  }
}

function vectorOf(text: string): number[] {
  const vector = new Array<number>(DIMENSIONS).fill(0);
  const stems = stemsIn(text.slice(0, TEXT_MAX_CHARS));
  const add = (feature: string, weight: number) => {
    const hash = hashOf(feature);
    const place = hash % DIMENSIONS;
    vector[place] = (vector[place] ?? 0) + (hash & 0x8000_0000 ? -weight : weight);
  };
  stems.forEach((stem, i) => {
    add(stem, 1);
    const next = stems[i + 1];
    if (next !== undefined) add(`${stem} ${next}`, PAIR_WEIGHT);
  });
  // Two words may share a place with opposite signs. A zero vector has no direction to compare.
  if (vector.every((value) => value === 0) && stems[0] !== undefined) add(stems[0], 1);
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}

/** The key words' stems without accents; every word's when all of them are stop words. */
function stemsIn(text: string): string[] {
  const plain = text.normalize('NFKD').replace(ACCENTS, '').normalize('NFC');
  const words = keyWords(plain);
  return (words.length > 0 ? words : wordsOf(plain)).map(stemOf);
}

/** FNV-1a (32 bit) over UTF-16 units, finished as in MurmurHash3 so that every bit depends on every unit. */
function hashOf(text: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
