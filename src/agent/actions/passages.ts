import { Bm25Index } from '../../domain/bm25-index.js';

const PASSAGE_CHARS = 1_000;
/** A paragraph up to this long stays in one piece. */
const PARAGRAPH_CHARS = 2_000;
const GAP = '\n\n[…]\n\n';

/** Pieces of about 1,000 characters that end with a paragraph where they can, else with a line, a sentence or a word. */
export function split(text: string): string[] {
  const pieces: string[] = [];
  let piece = '';
  for (const paragraph of text.split(/\n\s*\n/)) {
    if (piece !== '' && piece.length + paragraph.length > PASSAGE_CHARS) {
      pieces.push(piece);
      piece = '';
    }
    piece = piece === '' ? paragraph : `${piece}\n\n${paragraph}`;
    while (piece.length > PARAGRAPH_CHARS) {
      const end = endOfPiece(piece);
      pieces.push(piece.slice(0, end));
      piece = piece.slice(end);
    }
  }
  if (piece.trim() !== '') pieces.push(piece);
  return pieces;
}

/** Where to cut, in the second half of a passage if something ends there. */
function endOfPiece(text: string): number {
  const half = PASSAGE_CHARS / 2;
  const window = text.slice(half, PASSAGE_CHARS);
  for (const boundary of [/\n(?!.*\n)/s, /[.!?]\s(?!.*[.!?]\s)/s, /\s(?!.*\s)/s]) {
    const found = boundary.exec(window);
    if (found !== null) return half + found.index + found[0].length;
  }
  const splitsPair = /[\uD800-\uDBFF]/.test(text.charAt(PASSAGE_CHARS - 1));
  return splitsPair ? PASSAGE_CHARS - 1 : PASSAGE_CHARS;
}

/**
 * What to show of a document that is too long to show: its beginning, and of the rest the passages that fit the need best
 * (BM25 among the document's own passages), in the document's order. Marks stand where something was left out.
 * @param pieces What {@link split} made of the document.
 * @param limits Characters of the beginning, and of all together without the marks.
 */
export function partThatMatters(
  pieces: readonly string[],
  need: string,
  limits: { readonly head: number; readonly total: number },
): string {
  const chosen = new Set<number>([0]);
  let chars = pieces[0]?.length ?? 0;
  const take = (index: number, limit: number): boolean => {
    const { length } = pieces[index] ?? '';
    if (chars + length > limit) return false;
    chosen.add(index);
    chars += length;
    return true;
  };
  let next = 1;
  while (next < pieces.length && take(next, limits.head)) next += 1;
  const index = new Bm25Index<{ title: string; text: string; number: number }>();
  pieces.forEach((text, number) => index.add({ title: '', text, number }));
  for (const { document } of index.search(need, pieces.length)) {
    if (!chosen.has(document.number)) take(document.number, limits.total);
  }
  // What fits nothing better: how it goes on.
  for (; next < pieces.length && chars < limits.total; next += 1) {
    if (!chosen.has(next) && !take(next, limits.total)) break;
  }
  return inOrder(
    pieces,
    [...chosen].sort((a, b) => a - b),
  );
}

function inOrder(pieces: readonly string[], chosen: readonly number[]): string {
  let text = '';
  let before = -1;
  for (const number of chosen) {
    if (number > 0) text += number === before + 1 ? '\n\n' : GAP;
    text += pieces[number] ?? '';
    before = number;
  }
  return before < pieces.length - 1 ? `${text}${GAP.trimEnd()}` : text;
}
