const STOP_WORDS = new Set(
  (
    'a an and are as at be by can do does for from has have how i in is it its me of on or that the their there they this ' +
    'to was we were what when where which who why will with you your'
  ).split(' '),
);

/** The words of a text as the index knows them: folded, without the commonest English words and endings. */
export function wordsOf(text: string): string[] {
  const words =
    text
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  return words.filter((word) => !STOP_WORDS.has(word)).map(stem);
}

/** Takes English endings off, so that "queues", "queued" and "queueing" meet. Both sides are stemmed: being alike is enough. */
function stem(word: string): string {
  if (word.length < 5) return word.replace(/(?<=[^su])s$/, '');
  return word
    .replace(/(?:ies|ied)$/, 'y')
    .replace(/(?<=[^su])s$/, '')
    .replace(/(?<=.{3})(?:ing|ed)$/, '')
    .replace(/(?<=.{3})e$/, '');
}
