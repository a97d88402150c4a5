import { parseUrl } from '../domain/parse-url.js';
import { type Action } from '../domain/action.js';
import { type Observation, type TickRecord } from '../domain/situation.js';

/** Equal actions in a row after which a run is stuck. */
const REPEATS_MAX = 5;
/** Of what a repeated action brings. */
const REPEATED_CHARS = 8_000;

/** Whether the newest actions are all the same. */
export function isStuck(history: readonly TickRecord[]): boolean {
  const last = history.slice(-REPEATS_MAX);
  const [first] = last;
  return (
    last.length === REPEATS_MAX &&
    first !== undefined &&
    last.every(({ action }) => same(action, first.action))
  );
}

/**
 * What an action brought when it was carried out before; null when it was not, or failed. A page was read before under
 * this address or under the one that a redirect led to. It needs no state of its own, and so survives a crash.
 */
export function broughtBefore(history: readonly TickRecord[], action: Action): Observation | null {
  if (action.name === 'THINK') return null;
  const earlier = history.find(
    (record) => record.observation?.failed === false && isSameDeed(record, action),
  );
  if (!earlier?.observation) return null;
  const { tick, observation } = earlier;
  const source = observation.source ? `, as ${observation.source.id},` : '';
  const text = `This was done in tick ${tick} already${source} and is not done again. It brought:\n${observation.text}`;
  return { text: text.slice(0, REPEATED_CHARS), failed: false };
}

function isSameDeed({ action: done, observation }: TickRecord, action: Action): boolean {
  if (action.name !== 'VISIT' || done.name !== 'VISIT') return same(done, action);
  const address = plainAddress(action.argument);
  return [done.argument, observation?.source?.url ?? done.argument].some(
    (read) => plainAddress(read) === address,
  );
}

function same(a: Action, b: Action): boolean {
  return a.name === b.name && a.argument === b.argument;
}

/** An address as it is fetched: without a fragment, spelled in one way. */
function plainAddress(url: string): string {
  const address = url.trim().replace(/#.*$/s, '');
  return parseUrl(address)?.href ?? address;
}
