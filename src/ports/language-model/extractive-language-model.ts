import { type Action, type ActionName } from '../../domain/action.js';
import { type SearchHit, type Situation } from '../../domain/situation.js';
import { type LanguageModel, type ModelReply, type ModelRequest } from './language-model.port.js';
import { type QuotableDocument, rankSentences, type Ranking } from './sentence-ranking.js';
import { keyWords, stemOf, stemsOf } from './words.js';

const QUERY_WORDS_MAX = 12;
const BROAD_QUERY_WORDS = 3;
const SEARCHES_MAX = 2;
/** Hits below this are little; a broader search follows. */
const HITS_ENOUGH = 2;
const VISITS_GOOD = 3;
const VISITS_MAX = 5;
/** Below this, the best sentence is not about what was asked. */
const COVERAGE_ENOUGH = 0.25;
const ADDRESS = /\bhttps?:\/\/[^\s<>"'`()[\]{}]*[^\s<>"'`()[\]{}.,;:!?]/gi;

/**
 * Works without a model and without a network of its own: searches the mandate's key words, visits the best hits and
 * answers with the sentences that fit best, each with the source it stands in. A program, so that the same situation
 * always gives the same action; its reply is the JSON that a model would send.
 */
export class ExtractiveLanguageModel implements LanguageModel {
  readonly name = 'extractive (offline, no model)';
  readonly roomTokens = Infinity;

  async decide({ situation, signal }: ModelRequest): Promise<ModelReply> {
    signal.throwIfAborted();
    const { name, argument, thought } = nextAction(situation);
    const text = JSON.stringify({ thought, action: name, argument });
    return { outcome: 'said', text, promptTokens: 0, completionTokens: 0, calls: 1 };
  }

  countTokens(text: string): number {
    return text.length;
  }

  async ping(): Promise<void> {}

  async close(): Promise<void> {}
}

function nextAction(situation: Situation): Action {
  const { mandate, history, mustExit, maxTicks, tick } = situation;
  const onlyExitIsLeft = mustExit || tick >= maxTicks;
  if (onlyExitIsLeft) return exit(situation, rank(situation));

  const visits = history.filter(({ action }) => action.name === 'VISIT');
  const mayVisit =
    visits.length < VISITS_MAX &&
    visits.filter(({ observation }) => observation?.source).length < VISITS_GOOD;
  const named = unvisited(situation, (mandate.match(ADDRESS) ?? []).map(bareHit))[0];
  if (named !== undefined && mayVisit) return act('VISIT', named.url, 'The mandate names this address.');

  const queries = history
    .filter(({ action }) => action.name === 'SEARCH')
    .map(({ action }) => action.argument);
  const hits = hitsOf(situation);
  const [query, broader] = queriesFor(mandate);
  if (queries.length === 0 && query !== '')
    return act('SEARCH', query, 'Look for the key words of the mandate.');
  const maySearch = queries.length < SEARCHES_MAX && broader !== null && tick < maxTicks - 1;
  if (hits.length < HITS_ENOUGH && maySearch)
    return act('SEARCH', broader, 'Little was found: search more broadly.');

  const best = unvisited(situation, byFit(mandate, hits))[0];
  if (best !== undefined && mayVisit)
    return act('VISIT', best.url, 'Read what fits best and was not read yet.');
  const ranking = rank(situation);
  if (ranking.coverage < COVERAGE_ENOUGH && maySearch) {
    return act('SEARCH', broader, 'What was read does not answer: search more broadly.');
  }
  return exit(situation, ranking);
}

function act(name: ActionName, argument: string, thought: string): Action {
  return { name, argument, thought };
}

/** What to search for: the key words, and fewer of them in case that finds too little (null when there are no fewer). */
function queriesFor(mandate: string): [query: string, broader: string | null] {
  const words = keyWords(mandate.replace(ADDRESS, ' '));
  if (words.length === 0) return [mandate.trim().slice(0, 200), null];
  const chosen = mostFrequent(words, mandate, QUERY_WORDS_MAX);
  const longest = [...chosen].sort((a, b) => b.length - a.length);
  const few = longest.slice(0, Math.min(BROAD_QUERY_WORDS, chosen.length - 1));
  return [chosen.join(' '), few.length === 0 ? null : chosen.filter((word) => few.includes(word)).join(' ')];
}

/** The words that the text repeats most, in their own order. */
function mostFrequent(words: readonly string[], text: string, limit: number): string[] {
  if (words.length <= limit) return [...words];
  const times = new Map<string, number>();
  for (const stem of stemsOf(text)) times.set(stem, (times.get(stem) ?? 0) + 1);
  const frequency = (word: string) => times.get(stemOf(word)) ?? 0;
  const top = new Set([...words].sort((a, b) => frequency(b) - frequency(a)).slice(0, limit));
  return words.filter((word) => top.has(word));
}

/** Everything that searches found, each address once, in the order of finding. */
function hitsOf({ history }: Situation): SearchHit[] {
  const seen = new Set<string>();
  return history
    .flatMap(({ observation }) => observation?.hits ?? [])
    .filter(({ url }) => !seen.has(url) && seen.add(url));
}

function unvisited({ history, sources }: Situation, hits: readonly SearchHit[]): SearchHit[] {
  const seen = new Set(sources.map(({ url }) => url));
  for (const { action } of history) if (action.name === 'VISIT') seen.add(action.argument);
  // An address that VISIT does not take would be asked for again and again.
  return hits.filter(({ url }) => /^[^\s\p{Cc}<>]+$/u.test(url) && !seen.has(url));
}

/** By how many of the mandate's words title and snippet have; the search engine's own order decides between equals. */
function byFit(mandate: string, hits: readonly SearchHit[]): SearchHit[] {
  const terms = new Set(keyWords(mandate).map(stemOf));
  const fit = (text: string) => new Set(stemsOf(text).filter((stem) => terms.has(stem))).size;
  return hits
    .map((hit, rank) => ({ hit, points: fit(hit.title) + fit(hit.snippet) + 2 / (rank + 1) }))
    .sort((a, b) => b.points - a.points)
    .map(({ hit }) => hit);
}

function bareHit(url: string): SearchHit {
  return { url, title: '', snippet: '' };
}

function rank(situation: Situation): Ranking {
  const titles = new Map(situation.sources.map(({ id, title }) => [id, title]));
  const documents: QuotableDocument[] = [];
  for (const { observation } of situation.history) {
    const source = observation?.source;
    if (source === undefined || observation === null || observation.failed) continue;
    documents.push({ sourceId: source.id, title: source.title, text: observation.text });
  }
  for (const { sourceId, text } of situation.recalled) {
    if (titles.has(sourceId)) documents.push({ sourceId, title: titles.get(sourceId) ?? '', text });
  }
  return rankSentences(situation.mandate.replace(ADDRESS, ' '), documents);
}

function exit(situation: Situation, { quotes, coverage }: Ranking): Action {
  if (quotes.length > 0 && coverage >= COVERAGE_ENOUGH) {
    const answer = quotes.map(({ text, sourceId }) => `${ended(text)} [${sourceId}]`).join('\n');
    return act('EXIT', answer, 'These sentences fit the mandate best.');
  }
  const read = situation.sources.map(({ id }) => `[${id}]`).join(' ');
  if (read !== '') {
    return act(
      'EXIT',
      `The documents that were read do not answer this: ${read}`,
      'Nothing that was read fits.',
    );
  }
  const found = byFit(situation.mandate, hitsOf(situation)).slice(0, 3);
  if (found.length === 0)
    return act('EXIT', 'No document was found that answers this.', 'Nothing was found.');
  const snippets = found.map(({ title, snippet }) => `- ${oneLine(title)}: ${oneLine(snippet)}`);
  const answer = ['No document was read. The search results alone say:', ...snippets].join('\n');
  return act('EXIT', answer, 'Only search results are known.');
}

function ended(text: string): string {
  return /[.!?…。！？:)"'’”]$/.test(text) ? text : `${text.replace(/[,;]$/, '')}.`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, 300);
}
