import { type Sentence, sentencesOf } from './document-sentences.js';
import { keyWords, stemOf, stemsOf, stopWordShare, wordsOf } from './words.js';

export interface QuotableDocument {
  readonly sourceId: string;
  readonly title: string;
  readonly text: string;
}

export interface Quote {
  readonly sourceId: string;
  readonly text: string;
}

export interface Ranking {
  /** The sentences that answer best, in an order to read. */
  readonly quotes: readonly Quote[];
  /** How much of what was asked for the best sentence is about, from 0 to 1. */
  readonly coverage: number;
}

interface Candidate extends Sentence {
  readonly sourceId: string;
  readonly position: number;
  readonly stems: ReadonlyMap<string, number>;
  readonly contextStems: ReadonlySet<string>;
  readonly length: number;
  /** Whether it reads like language rather than like names or code. Scripts without known stop words count as prose. */
  readonly fluent: boolean;
}

interface Scored extends Candidate {
  readonly score: number;
  readonly covered: number;
}

const CHARACTERS_MAX = 200_000;
const QUOTES_MAX = 5;
const ANNOUNCED_MAX = 2;
/** Usual parameters of BM25 (Robertson and Zaragoza, 2009). */
const K1 = 1.2;
const B = 0.75;
const CONTEXT_WEIGHT = 0.45;
const NEIGHBOUR_WEIGHT = 0.3;
const ASKS_FOR_NUMBER =
  /\b(?:how (?:many|much|long|often|far|old|large|big|fast)|when|number of|which (?:year|port|limit))\b/i;

/** The sentences of `documents` that fit `question` best. The same input gives the same ranking. */
export function rankSentences(question: string, documents: readonly QuotableDocument[]): Ranking {
  const candidates = candidatesFrom(documents);
  const terms = [...new Set(keyWords(question).map(stemOf))];
  if (candidates.length === 0) return { quotes: [], coverage: 0 };
  if (terms.length === 0) return { quotes: inReadingOrder(leads(candidates)), coverage: 1 };
  const scored = score(candidates, weigh(terms, candidates), ASKS_FOR_NUMBER.test(question));
  const chosen = choose(scored);
  return { quotes: inReadingOrder(chosen), coverage: Math.max(0, ...chosen.map(({ covered }) => covered)) };
}

function candidatesFrom(documents: readonly QuotableDocument[]): Candidate[] {
  const candidates: Candidate[] = [];
  const seen = new Set<string>();
  let characters = 0;
  for (const { sourceId, title, text } of documents) {
    if (characters >= CHARACTERS_MAX) break;
    const taken = text.slice(0, CHARACTERS_MAX - characters);
    characters += taken.length;
    for (const sentence of sentencesOf(taken)) {
      const key = sentence.text.toLowerCase();
      if (seen.has(key) || !quotable(sentence.text)) continue;
      seen.add(key);
      candidates.push(candidateOf(sentence, sourceId, title, candidates.length));
    }
  }
  return candidates;
}

function quotable(text: string): boolean {
  return text.length >= 20 && text.length <= 800 && /\p{L}{2}/u.test(text) && !/\bhttps?:\/\/\S+$/.test(text);
}

function candidateOf(sentence: Sentence, sourceId: string, title: string, position: number): Candidate {
  const words = wordsOf(sentence.text);
  const stems = new Map<string, number>();
  for (const word of words.map(stemOf)) stems.set(word, (stems.get(word) ?? 0) + 1);
  const contextStems = new Set(stemsOf(`${title} ${sentence.context}`));
  const fluent = stopWordShare(words) >= 0.12 || /[^\p{ASCII}\p{P}\p{S}]/u.test(sentence.text);
  return { ...sentence, sourceId, position, stems, contextStems, length: words.length, fluent };
}

/** Inverse document frequency over the sentences: what few of them say tells most. */
function weigh(terms: readonly string[], candidates: readonly Candidate[]): Map<string, number> {
  const count = candidates.length;
  return new Map(
    terms.map((term) => {
      const having = candidates.filter(({ stems }) => stems.has(term)).length;
      return [term, Math.log(1 + (count - having + 0.5) / (having + 0.5))];
    }),
  );
}

function score(
  candidates: readonly Candidate[],
  weights: ReadonlyMap<string, number>,
  numeric: boolean,
): Scored[] {
  const mean = candidates.reduce((sum, { length }) => sum + length, 0) / candidates.length;
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  const known = [...weights.keys()].filter((term) => candidates.some(({ stems }) => stems.has(term)));
  // One word in common is chance, unless few were asked for and the documents know them all.
  const needed = weights.size <= 2 && known.length === weights.size ? 1 : Math.min(2, weights.size);
  const own = candidates.map((candidate) => {
    let points = 0;
    for (const [term, weight] of weights) {
      const times = candidate.stems.get(term) ?? 0;
      if (times > 0) {
        points += (weight * times * (K1 + 1)) / (times + K1 * (1 - B + (B * candidate.length) / mean));
      } else if (candidate.contextStems.has(term)) {
        points += weight * CONTEXT_WEIGHT;
      }
    }
    return points;
  });
  return candidates.map((candidate, at) => {
    const near = [at - 2, at - 1, at + 1, at + 2].filter((other) => sameBlock(candidate, candidates[other]));
    const lift = Math.max(0, ...near.map((other) => own[other] ?? 0));
    const neighbours = near.flatMap((other) => candidates[other] ?? []);
    const covered = coverage(candidate, neighbours, weights, needed) / total;
    const alone = coverage(candidate, [], weights, 1) / total;
    const points = (own[at] ?? 0) + NEIGHBOUR_WEIGHT * lift;
    return { ...candidate, covered, score: points * (0.6 + 0.4 * alone) * quality(candidate, numeric) };
  });
}

function sameBlock(candidate: Candidate, other: Candidate | undefined): boolean {
  return other?.sourceId === candidate.sourceId && other.block === candidate.block;
}

/** The weight of the terms that the sentence has; those that only its surroundings have count in part. */
function coverage(
  candidate: Candidate,
  neighbours: readonly Candidate[],
  weights: ReadonlyMap<string, number>,
  needed: number,
): number {
  let covered = 0;
  let matched = 0;
  for (const [term, weight] of weights) {
    const around =
      candidate.contextStems.has(term) || neighbours.some((neighbour) => neighbour.stems.has(term));
    const share = candidate.stems.has(term) ? 1 : around ? CONTEXT_WEIGHT : 0;
    covered += weight * share;
    if (share > 0) matched += 1;
  }
  return matched >= needed ? covered : 0;
}

/** How well a sentence reads on its own, around 1. */
function quality({ text, kind, fluent }: Candidate, numeric: boolean): number {
  let factor = kind === 'row' ? 0.7 : 1;
  if (text.length < 40 || text.length > 300) factor *= 0.7;
  if (!fluent) factor *= 0.6;
  if (!/[.!?…。！？:;,)\]"'’”]$/.test(text)) factor *= kind === 'prose' ? 0.7 : 0.9;
  if (/^[\p{Ll},;)]/u.test(text) && kind === 'prose') factor *= 0.8;
  if (text.endsWith('?')) factor *= 0.5;
  if (
    numeric &&
    /\d|\bceil\b|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|hundred|thousand|million)\b/i.test(
      text,
    )
  ) {
    factor *= 1.2;
  }
  return factor;
}

/** The best sentences, none of which repeats another; a list that one of them announces may go beyond their number. */
function choose(scored: readonly Scored[]): Scored[] {
  const ranked = scored
    .filter((one) => one.score > 0)
    .sort((a, b) => b.score - a.score || a.position - b.position);
  const best = ranked[0]?.score ?? 0;
  const chosen: Scored[] = [];
  for (const next of ranked) {
    if (chosen.length >= QUOTES_MAX || next.score < best * 0.45) break;
    if (chosen.includes(next) || chosen.some((one) => similarity(one, next) > 0.6)) continue;
    chosen.push(next, ...continuation(next, scored).filter((item) => !chosen.includes(item)));
  }
  return chosen;
}

/** What a sentence that ends with a colon announces: the first items of its list. */
function continuation(sentence: Scored, scored: readonly Scored[]): Scored[] {
  if (!sentence.text.endsWith(':')) return [];
  const next = scored.slice(sentence.position + 1, sentence.position + 1 + ANNOUNCED_MAX);
  const end = next.findIndex(({ kind, sourceId }) => kind === 'prose' || sourceId !== sentence.sourceId);
  return end < 0 ? next : next.slice(0, end);
}

function similarity(a: Candidate, b: Candidate): number {
  const common = [...a.stems.keys()].filter((stem) => b.stems.has(stem)).length;
  return common / Math.min(a.stems.size, b.stems.size);
}

function leads(candidates: readonly Candidate[]): Scored[] {
  const prose = candidates.filter(({ kind }) => kind === 'prose');
  return prose.slice(0, 3).map((candidate) => ({ ...candidate, score: 1, covered: 1 }));
}

/** The source of the best sentence first; within a source, the document's own order. */
function inReadingOrder(chosen: readonly Scored[]): Quote[] {
  const order = [...new Set(chosen.map(({ sourceId }) => sourceId))];
  return [...chosen]
    .sort((a, b) => order.indexOf(a.sourceId) - order.indexOf(b.sourceId) || a.position - b.position)
    .map(({ sourceId, text }) => ({ sourceId, text }));
}
