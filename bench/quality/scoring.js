/** How an answer is judged: by facts, by citations and by ticks. Pure, so that a test can hold it to examples. */

const MONTHS = 'January February March April May June July August September October November December'.split(
  ' ',
);
/** What answers say that do not know. */
const DECLINES = [
  /\b(?:do|does|did|could|can|is|are|was|were)(?: not|n['’]t)\b.{0,60}\b(?:answer|say|mention|contain|provide|include|state|specify|cover|found|find|determine|available|given)/i,
  /\bcannot\b.{0,40}\b(?:answer|find|determine|say|tell)/i,
  /\bno (?:document|source|information|answer|mention|data|passage|page)s?\b/i,
  /\b(?:unknown|not known|not found|unable to (?:answer|find|determine))\b/i,
];
const CITATION = /\[(s\d+(?:\s*,\s*s\d+)*)\]/g;

/** A text as facts are looked for in it: one kind of blank, of dash and of quote, and no marks between digits. */
export function normalised(text) {
  return text
    .normalize('NFC')
    .replace(/[\u2010-\u2015\u2212]/g, '-')
    .replace(/[‘’]/g, "'")
    .replace(/\*\*|__|`/g, '')
    .replace(/\s+/g, ' ')
    .replace(/(?<=\d)[, '](?=\d{3}(?!\d))/g, '')
    .toLowerCase();
}

/** The pattern of a fact: what it `says`, or a `date` (2012-08-25) in its usual spellings. */
export function patternOf({ says, date }) {
  if (date === undefined) return new RegExp(says, 'i');
  const [year, month, day] = date.split('-').map(Number);
  const name = MONTHS[month - 1];
  const short = `(?:${name}|${name.slice(0, 3)}\\.?)`;
  const dayFirst = `\\b0?${day}(?:st|nd|rd|th)?(?: of)? ${short},? ${year}`;
  const monthFirst = `\\b${short} 0?${day}(?:st|nd|rd|th)?,? ${year}`;
  return new RegExp(`${dayFirst}|${monthFirst}|${date}`, 'i');
}

/** The paths of the documents that a fact stands in; one of them is enough. */
export function pathsOf(fact) {
  return [fact.in].flat();
}

/** The ids that an answer cites, each once. */
export function citedIds(answer) {
  const lists = [...answer.matchAll(CITATION)].map(([, list]) => list.split(','));
  return [...new Set(lists.flat().map((id) => id.trim()))];
}

/**
 * Judges one run. `run`: `answer`, `sources` (id and address, as the result lists them), `visited` (addresses that the journal
 * has as read), `ticks` and `maxTicks`.
 *
 * - `answered`: every fact is in the answer and nothing that a misleading page says; of a question that has no answer, that the
 *   answer says so.
 * - `sourced`: each fact's document is cited. Questions without an answer need no source.
 * - `citationsValid`: each id that is cited belongs to a listed source, which was visited.
 */
export function judge(question, run) {
  const answer = normalised(run.answer);
  const cited = citedIds(run.answer);
  const addresses = new Map(run.sources.map(({ id, url }) => [id, url]));
  const citedPaths = new Set(cited.map((id) => addresses.get(id)?.replace(/^corpus:/, '')));
  const misled = (question.wrong ?? []).some((wrong) => new RegExp(wrong, 'i').test(answer));
  const facts = question.facts.every((fact) => patternOf(fact).test(answer));
  const none = question.kind === 'none';
  const answered = none ? DECLINES.some((declines) => declines.test(answer)) : facts && !misled;
  const sourced = question.facts.every((fact) => pathsOf(fact).some((path) => citedPaths.has(path)));
  return {
    answered,
    sourced,
    right: answered && sourced,
    citationsValid: cited.every((id) => addresses.has(id) && run.visited.includes(addresses.get(id))),
    withinBudget: run.ticks <= run.maxTicks,
  };
}

/** One line for each kind of question, and one for all. `judged`: pairs of a question and its run, with the verdict. */
export function tableOf(judged) {
  const kinds = [...new Set(judged.map(({ question }) => question.kind))];
  const lines = kinds.map((kind) => [kind, judged.filter(({ question }) => question.kind === kind)]);
  return [...lines, ['all', judged]].map(([kind, ones]) => lineOf(kind, ones));
}

function lineOf(kind, ones) {
  const share = (what) => ones.filter(({ verdict }) => verdict[what]).length / ones.length;
  const ticks = ones.map(({ run }) => run.ticks);
  const words = ones.map(({ run }) => run.answer.split(/\s+/).length).toSorted((a, b) => a - b);
  return {
    kind,
    questions: ones.length,
    answered: share('answered'),
    sourced: share('sourced'),
    right: share('right'),
    citationsValid: share('citationsValid'),
    overBudget: ones.filter(({ verdict }) => !verdict.withinBudget).length,
    meanTicks: ticks.reduce((sum, count) => sum + count, 0) / ticks.length,
    maxTicks: Math.max(...ticks),
    medianWords: words[Math.floor(words.length / 2)],
  };
}
