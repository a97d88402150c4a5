// Not Intl.Segmenter: its time grows with the square of a paragraph's length.
const SENTENCE_END = /(?<=[.!?…][)\]"'’”]?) (?=[\p{Lu}\p{Lo}\p{N}"'(“‘[])|(?<=[。！？])/u;
const ABBREVIATION =
  /(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|Dr|Mr|Mrs|Ms|Prof|St|No|Fig|approx|Inc|Ltd|Co|[A-Z])\.$/;

/** The sentences of a paragraph whose words have one blank between them. */
export function sentencesIn(paragraph: string): string[] {
  const sentences: string[] = [];
  let open = '';
  for (const part of paragraph.split(SENTENCE_END)) {
    open = open === '' ? part : `${open} ${part}`;
    if (ABBREVIATION.test(part)) continue;
    sentences.push(open);
    open = '';
  }
  if (open !== '') sentences.push(open);
  return sentences;
}
