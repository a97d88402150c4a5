import { sentencesIn } from '../domain/sentences.js';
import { type Source } from '../domain/task.js';

const IDS = String.raw`\[(s\d+(?:\s*,\s*s\d+)*)\]`;
// The lookbehind lets a run of blanks be tried once, not from each of its blanks.
const CITATION = new RegExp(String.raw`(?<!\s)\s*${IDS}`, 'g');
const CITED = new RegExp(IDS);
/** Citations that stand behind the end of their sentence. */
const BEHIND_THE_END = new RegExp(String.raw`([.!?…。！？]["'’”)]?)((?: ?${IDS})+)`, 'g');
const FENCED = /^ {0,3}(`{3,}|~{3,})[^\n]*\n[\s\S]*?(?:\n {0,3}\1[^\n]*(?=\n|$)|$(?![\s\S]))/gm;
/** A line above the divider of a table. */
const TABLE_HEAD = /^[^\n]*\n(?=[ \t]*\|[ \t:|-]{3,200}(?:\n|$(?![\s\S])))/gm;
const BLOCK_START = /\n(?=[ \t]*(?:\n|[-*+•|>#]|\d{1,3}[.)] ))/;
const BLOCK_MARK = /^\s*(?:>\s*)*(?:(?:[-*+•]|\d{1,3}[.)])\s+)?/;

/** An answer that cites nothing but what was read, and what it stands on. */
export interface CitedAnswer {
  readonly answer: string;
  /** The sources that it cites, or all that were read if it cites none. */
  readonly sources: readonly Source[];
  /** The sentences that cite no source, as they stand in the answer. */
  readonly unsupported: readonly string[];
}

/** Removes the ids of documents that were not read; what then stands without an id is unsupported. */
export function citedAnswer(text: string, sources: readonly Source[]): CitedAnswer {
  const known = new Set(sources.map(({ id }) => id));
  const cited = new Set<string>();
  const answer = text.replace(CITATION, (whole, list: string) => {
    const ids = idsOf(list);
    const valid = ids.filter((id) => known.has(id));
    valid.forEach((id) => cited.add(id));
    if (valid.length === ids.length) return whole;
    return valid.length === 0 ? '' : ` [${valid.join(', ')}]`;
  });
  const used = cited.size === 0 ? sources : sources.filter(({ id }) => cited.has(id));
  return { answer, sources: [...used], unsupported: unsupportedSentences(answer) };
}

/** The ids that a text cites although no document has them, each once. */
export function unknownCitations(text: string, sources: readonly Source[]): string[] {
  const known = new Set(sources.map(({ id }) => id));
  const cited = [...text.matchAll(CITATION)].flatMap(([, list = '']) => idsOf(list));
  return [...new Set(cited.filter((id) => !known.has(id)))];
}

/**
 * The sentences without a citation in them or directly behind them. Headings, code, the head of a table and words that
 * introduce a list (they end with a colon) are no sentences; a row of a table is one. A line break inside a sentence reads as a blank.
 */
export function unsupportedSentences(answer: string): string[] {
  return answer
    .replace(FENCED, '\n')
    .replace(TABLE_HEAD, '\n')
    .split(BLOCK_START)
    .filter((block) => !/^\s*#/.test(block))
    .flatMap((block) => {
      const paragraph = block.replace(BLOCK_MARK, '').replace(/\s+/g, ' ').trim();
      return sentencesIn(paragraph.replace(BEHIND_THE_END, '$2$1'));
    })
    .map((sentence) => sentence.trim())
    .filter((sentence) => /[\p{L}\p{N}]/u.test(sentence) && !sentence.endsWith(':') && !CITED.test(sentence));
}

function idsOf(list: string): string[] {
  return list.split(',').map((id) => id.trim());
}
