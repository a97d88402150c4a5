import { type ChatMessage, type TickRecord } from '../domain/situation.js';

/** How much one request may hold, in tokens of the model. */
export interface Room {
  readonly tokens: number;
  count(text: string): number;
}

/** What a message takes beside its text: role and separators. */
const MESSAGE_TOKENS = 4;
const LINE_CHARS = 200;
const NOTE_CHARS = 400;
/** Sources that the ticks which are left out are named by. */
const NAMED_MAX = 30;
/** An observation that would be cut below this is given as one line. */
const CUT_MIN_CHARS = 400;
const CUT_MARK_TOKENS = 16;

/** Records never change, so what one takes is counted once. */
const counted = new WeakMap<TickRecord, { full?: number; line?: number }>();

export function tokensOf(messages: readonly ChatMessage[], room: Room): number {
  return messages.reduce((sum, { content }) => sum + MESSAGE_TOKENS + room.count(content), 0);
}

/**
 * An upper bound that costs nothing: every token stands for at least one byte.
 * Most requests are short enough to be settled by it.
 */
export function bytesOf(messages: readonly ChatMessage[]): number {
  return messages.reduce((sum, { content }) => sum + MESSAGE_TOKENS + Buffer.byteLength(content), 0);
}

export function fullTick(record: TickRecord): ChatMessage[] {
  return pair(record, observationText(record), record.action.argument);
}

/**
 * Past ticks in at most `tokens`: the newest in full, older ones in a line each, the oldest named together. The newest note
 * is the plan, so it stays in full too. Of the newest tick as much is shown as there is room for.
 */
export function historyWindow(history: readonly TickRecord[], tokens: number, room: Room): ChatMessage[] {
  const lines = linesThatFit(history, tokens / 2, room);
  const shown = history.slice(history.length - lines.count);
  const before = leftOut(history.slice(0, history.length - lines.count));
  const chosen = new Map<TickRecord, ChatMessage[]>();
  let left = tokens - lines.tokens - tokensOf(before, room);
  const enlarge = (record: TickRecord, messages: ChatMessage[], needed: number): boolean => {
    if (needed > left) return false;
    left -= needed;
    chosen.set(record, messages);
    return true;
  };
  const growth = (record: TickRecord) => sizeOf(record, 'full', room) - sizeOf(record, 'line', room);
  const plan = shown.findLast(({ action, observation }) => action.name === 'THINK' && !observation?.failed);
  if (plan) enlarge(plan, fullTick(plan), growth(plan));
  for (const record of shown.toReversed()) {
    if (chosen.has(record) || enlarge(record, fullTick(record), growth(record))) continue;
    if (record === shown.at(-1)) {
      const cut = cutTick(record, left, growth(record));
      if (cut !== null) chosen.set(record, cut);
    }
    break;
  }
  return [...before, ...shown.flatMap((record) => chosen.get(record) ?? lineTick(record))];
}

function linesThatFit(history: readonly TickRecord[], tokens: number, room: Room) {
  let used = 0;
  let count = 0;
  for (const record of history.toReversed()) {
    const size = sizeOf(record, 'line', room);
    if (used + size > tokens) break;
    used += size;
    count += 1;
  }
  return { count, tokens: used };
}

function sizeOf(record: TickRecord, form: 'full' | 'line', room: Room): number {
  const known = counted.get(record) ?? {};
  const size = known[form] ?? tokensOf(form === 'full' ? fullTick(record) : lineTick(record), room);
  counted.set(record, { ...known, [form]: size });
  return size;
}

/** The tick with as much of its observation as fits; null when that is too little to be of use. */
function cutTick(record: TickRecord, left: number, growth: number): ChatMessage[] | null {
  const { observation } = record;
  if (observation === null || growth <= 0) return null;
  const chars = Math.floor((observation.text.length * (left - CUT_MARK_TOKENS)) / growth);
  if (chars < CUT_MIN_CHARS) return null;
  const text = `${observation.text.slice(0, chars)}\n(cut here)`;
  return fullTick({ ...record, observation: { ...observation, text } });
}

function leftOut(records: readonly TickRecord[]): ChatMessage[] {
  const last = records.at(-1);
  if (last === undefined) return [];
  const read = records.flatMap(({ observation }) => observation?.source ?? []);
  const named = read.slice(-NAMED_MAX).map(({ id, title }) => `${id} (${title.slice(0, 60)})`);
  const sources = named.length === 0 ? '' : ` Read there:\n${fenced(named.join('\n'))}`;
  return [{ role: 'user', content: `Ticks 1 to ${last.tick} are left out for want of room.${sources}` }];
}

function pair({ action }: TickRecord, outcome: string, argument: string): ChatMessage[] {
  const said = { thought: action.thought.slice(0, 1_000), action: action.name, argument };
  return [
    { role: 'assistant', content: JSON.stringify(said) },
    { role: 'user', content: outcome },
  ];
}

function lineTick(record: TickRecord): ChatMessage[] {
  const { tick, action, observation } = record;
  const source = observation?.source ? `, read as ${observation.source.id}` : '';
  const chars = action.name === 'THINK' ? NOTE_CHARS : LINE_CHARS;
  const brief = { ...record, action: { ...action, thought: action.thought.slice(0, LINE_CHARS) } };
  return pair(brief, `Tick ${tick}: ${action.name} done${source}.`, action.argument.slice(0, chars));
}

function observationText({ tick, action, observation }: TickRecord): string {
  if (observation === null) return `Tick ${tick}: the outcome is not known.`;
  if (action.name === 'THINK')
    return `Tick ${tick}: noted. ${observation.failed ? observation.text : ''}`.trim();
  if (action.name === 'EXIT') return `Tick ${tick}: ${observation.text}`;
  const { source } = observation;
  const outcome = observation.failed ? 'failed' : 'brought';
  if (source === undefined) return `Tick ${tick}: ${action.name} ${outcome}:\n${fenced(observation.text)}`;
  // The address is the page's own to choose, so it stands inside too.
  const page = `Address: ${source.url}\n\n${observation.text}`;
  return `Tick ${tick}: ${action.name} ${outcome} (source ${source.id}):\n${fenced(page)}`;
}

/** What a reader may take for a mark of the fence: blanks, invisible letters and letters of full width included. */
const FENCE_MARK = /[<＜﹤](?=[\s\p{Cf}/／]*[pｐ]\p{Cf}*[aａ]\p{Cf}*[gｇ]\p{Cf}*[eｅ])/giu;

/** A fence that the text inside cannot close. */
export function fenced(text: string): string {
  return `<page>\n${text.replace(FENCE_MARK, '‹')}\n</page>`;
}
