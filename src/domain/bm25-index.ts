import { wordsOf } from './search-words.js';

const K1 = 1.2;
const B = 0.75;
/** A word in the title counts as often. */
const TITLE_WEIGHT = 4;
const MAX_QUERY_WORDS = 64;

export interface Indexed {
  readonly title: string;
  readonly text: string;
}

export interface Match<T> {
  readonly document: T;
  readonly score: number;
}

/**
 * An inverted index in memory, ranked by Okapi BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework:
 * BM25 and Beyond", 2009), with the idf that is never negative: ln(1 + (N − n + 0.5) / (n + 0.5)).
 */
export class Bm25Index<T extends Indexed> {
  /** Word → document number → how often. */
  private readonly postings = new Map<string, Map<number, number>>();
  private readonly documents: T[] = [];
  private readonly lengths: number[] = [];
  private totalLength = 0;

  add(document: T): void {
    const number = this.documents.push(document) - 1;
    const body = wordsOf(document.text);
    body.forEach((word) => this.count(word, number, 1));
    wordsOf(document.title).forEach((word) => this.count(word, number, TITLE_WEIGHT));
    this.lengths.push(body.length);
    this.totalLength += body.length;
  }

  /** Best first; the one added first wins a tie. */
  search(query: string, limit: number): Match<T>[] {
    const scores = new Map<number, number>();
    const average = this.totalLength / Math.max(1, this.documents.length) || 1;
    for (const word of queryWords(query)) {
      const idf = this.idf(word);
      for (const [number, frequency] of this.postings.get(word) ?? []) {
        const norm = 1 - B + (B * (this.lengths[number] ?? 0)) / average;
        const gain = (idf * frequency * (K1 + 1)) / (frequency + K1 * norm);
        scores.set(number, (scores.get(number) ?? 0) + gain);
      }
    }
    return [...scores]
      .sort(([a, scoreA], [b, scoreB]) => scoreB - scoreA || a - b)
      .slice(0, Math.max(0, limit))
      .flatMap(([number, score]) => {
        const document = this.documents[number];
        return document === undefined ? [] : [{ document, score }];
      });
  }

  /** How much a word tells: high for rare words, 0 for unknown ones. */
  idf(word: string): number {
    const n = this.postings.get(word)?.size ?? 0;
    return n === 0 ? 0 : Math.log(1 + (this.documents.length - n + 0.5) / (n + 0.5));
  }

  private count(word: string, number: number, times: number): void {
    const posting = this.postings.get(word) ?? new Map<number, number>();
    posting.set(number, (posting.get(number) ?? 0) + times);
    this.postings.set(word, posting);
  }
}

/** The distinct words of a query, bounded. */
export function queryWords(query: string): string[] {
  return [...new Set(wordsOf(query.slice(0, 2_000)))].slice(0, MAX_QUERY_WORDS);
}
