/** English words that say nothing about a subject, and the verbs and nouns in which mandates ask for work. */
const STOP_WORDS = new Set(
  (
    'a an the this that these those it its they them their theirs he she his her him we us our you your i me my mine ' +
    'who whom whose which what when where why how and or but nor not no yes if then else than so as at by for from in into of ' +
    'off on onto out over to up with within without about above after again against all also am any are be because been before ' +
    'being below between both can cannot could did do does doing done down during each either etc ever every few get gets got ' +
    'had has have having here however is itself just let lets like many more most much must neither off only other others ' +
    'ought own per same shall should since some such there therefore through thus too under until upon very was were while ' +
    'whether will would may might please answer answers ask tell explain describe find finds give gives list summarise summarize ' +
    'summary report write research look search question questions briefly short sentence sentences using use want wants need ' +
    'needs know source sources cite citing cited citation citations shown don doesn didn isn aren wasn won ll re ve'
  ).split(' '),
);

/** Scripts that put no blanks between words. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]/u;
const SEGMENTER = new Intl.Segmenter('en', { granularity: 'word' });

/** The words of a text as they stand there; `max_ticks` and `maxTicks` are two words each. */
export function wordsOf(text: string): string[] {
  const words = text.replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2').match(/[\p{L}\p{M}\p{N}]{1,200}/gu) ?? [];
  return words.flatMap((word) =>
    UNSPACED.test(word) ? [...SEGMENTER.segment(word)].map(({ segment }) => segment) : word,
  );
}

/** The part of a text's words, from 0 to 1, that are stop words: high in prose, low in lists of names and in code. */
export function stopWordShare(words: readonly string[]): number {
  const stops = words.filter((word) => STOP_WORDS.has(word.toLowerCase())).length;
  return words.length === 0 ? 0 : stops / words.length;
}

/** Words of a text by which it can be found: no stop words, no single letters, each stem once, in the text's order. */
export function keyWords(text: string): string[] {
  const seen = new Set<string>();
  return wordsOf(text).filter((word) => {
    const stem = stemOf(word);
    if (/^[a-z]$/i.test(word) || STOP_WORDS.has(word.toLowerCase()) || seen.has(stem)) return false;
    seen.add(stem);
    return true;
  });
}

/** Endings and what takes their place, longest first; at least three letters stay. */
const ENDINGS: readonly (readonly [RegExp, string])[] = [
  [/ision$/, 'id'],
  [/(?:ational|ation|ating|ated|ate|able)$/, ''],
  [/(?:ied|ies)$/, 'y'],
  [/(?<=t)ion$/, ''],
  [/(?:ing|edly|ment|ed)$/, ''],
];

/** The part of a word that its English forms share (`scales`, `scaling` → `scal`). Meant for comparing, not for reading. */
export function stemOf(word: string): string {
  let stem = word.normalize('NFKC').toLowerCase();
  if (!/^[a-z]{4,}$/.test(stem)) return stem;
  if (/(?:ss|sh|ch|x|z)es$/.test(stem)) stem = stem.slice(0, -2);
  else if (/[^sui]s$/.test(stem) && !stem.endsWith('ies')) stem = stem.slice(0, -1);
  for (const [ending, replacement] of ENDINGS) {
    const shorter = stem.replace(ending, replacement);
    if (shorter !== stem && shorter.length >= 3) {
      stem = shorter;
      break;
    }
  }
  stem = stem.replace(/([^aeiouy])\1$/, '$1');
  return stem.length > 3 ? stem.replace(/e$/, '') : stem;
}

export function stemsOf(text: string): string[] {
  return wordsOf(text).map(stemOf);
}
