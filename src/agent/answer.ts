import { type Situation } from '../domain/situation.js';
import { type Source } from '../domain/task.js';

// The lookbehind lets a run of blanks be tried once, not from each of its blanks.
const CITATION = /(?<!\s)\s*\[(s\d+(?:\s*,\s*s\d+)*)\]/g;
const FALLBACK_CHARS = 1_500;

/** An answer that cites nothing but what was read, with the sources that belong to it. */
export function citedAnswer(text: string, sources: readonly Source[]): { answer: string; sources: Source[] } {
  const known = new Set(sources.map(({ id }) => id));
  const cited = new Set<string>();
  const answer = text.replace(CITATION, (whole, list: string) => {
    const ids = list.split(',').map((id) => id.trim());
    const valid = ids.filter((id) => known.has(id));
    valid.forEach((id) => cited.add(id));
    if (valid.length === ids.length) return whole;
    return valid.length === 0 ? '' : ` [${valid.join(', ')}]`;
  });
  const used = cited.size === 0 ? sources : sources.filter(({ id }) => cited.has(id));
  return { answer, sources: [...used] };
}

/** Why an answer is given that is not the model's own. */
export const BUDGET_ENDED = 'The budget has ended.';

/**
 * The best that is known when the budget ends and the model gave no answer: the answer that it gave before the budget was
 * extended; else notes, then passages, then search results.
 */
export function bestKnown(situation: Situation): string {
  const { history, recalled, maxTicks } = situation;
  const earlier = history.findLast(({ action }) => action.name === 'EXIT' && action.thought !== BUDGET_ENDED);
  if (earlier) return earlier.action.argument;
  const note = history.findLast(({ action, observation }) => action.name === 'THINK' && !observation?.failed);
  const page = history.findLast(({ observation }) => observation?.source !== undefined);
  const hits = history.findLast(({ observation }) => observation?.hits?.length)?.observation?.hits ?? [];
  const parts: string[] = [];
  if (note) parts.push(note.action.argument.slice(0, FALLBACK_CHARS));
  for (const { sourceId, text } of recalled.slice(0, 2)) parts.push(`${text.slice(0, 600)} [${sourceId}]`);
  if (recalled.length === 0 && page?.observation?.source) {
    parts.push(`${page.observation.text.slice(0, 600)} [${page.observation.source.id}]`);
  }
  if (parts.length === 0 && hits.length > 0) {
    parts.push(
      `Found but not read: ${hits
        .slice(0, 5)
        .map(({ title, url }) => `${title} (${url})`)
        .join('; ')}`,
    );
  }
  if (parts.length === 0) return `No answer was found within the budget of ${maxTicks} ticks.`;
  return `The budget of ${maxTicks} ticks ended before an answer was given. What is known so far:\n\n${parts.join('\n\n')}`;
}
