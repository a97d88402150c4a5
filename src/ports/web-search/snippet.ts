import { wordsOf } from '../../domain/search-words.js';

const SNIPPET_CHARS = 200;
const MAX_SCANNED_CHARS = 200_000;

/**
 * The passage of about 200 characters that fits the query best.
 * @param weigh How much a word of the query tells.
 */
export function snippetOf(text: string, query: readonly string[], weigh: (word: string) => number): string {
  let best = '';
  let bestScore = -1;
  for (const passage of passagesOf(text.slice(0, MAX_SCANNED_CHARS))) {
    const words = new Set(wordsOf(passage));
    const score = query.reduce((sum, word) => sum + (words.has(word) ? weigh(word) : 0), 0);
    if (score > bestScore) [best, bestScore] = [passage, score];
  }
  return best;
}

/** Pieces of whole sentences or lines, up to the snippet's length; a longer sentence is cut between words. */
function* passagesOf(text: string): Generator<string> {
  let passage = '';
  for (const line of text.split('\n')) {
    const pieces = line.match(/\S(?:.{0,198}?[.!?](?=\s|$)|.{0,198}(?=\s|$)|.{0,198})/g) ?? [];
    if (pieces.length === 0 || /^#/.test(line)) {
      // A blank line or a heading ends what came before.
      if (passage !== '') yield passage;
      passage = '';
    }
    for (const piece of pieces) {
      if (passage !== '' && passage.length + piece.length >= SNIPPET_CHARS) {
        yield passage;
        passage = '';
      }
      passage = passage === '' ? piece : `${passage} ${piece}`;
    }
  }
  if (passage !== '') yield passage;
}
