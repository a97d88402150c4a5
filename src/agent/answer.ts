import { type Action } from '../domain/action.js';
import { type Situation } from '../domain/situation.js';

const FALLBACK_CHARS = 1_500;

/** Why an answer is given that is not the model's own. */
export const BUDGET_ENDED = 'The budget has ended.';

/**
 * The best that is known when the budget ends and the model gave no answer: the answer that it gave before the budget was
 * extended; else notes, then passages, then search results.
 */
export function bestKnown(situation: Situation): Pick<Action, 'argument' | 'data'> {
  const { history } = situation;
  const earlier = history.findLast(({ action }) => action.name === 'EXIT' && action.thought !== BUDGET_ENDED);
  return earlier?.action ?? { argument: whatIsKnown(situation) };
}

function whatIsKnown({ history, recalled, maxTicks }: Situation): string {
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
