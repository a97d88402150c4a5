import { hash } from 'node:crypto';
import { isoTime } from './clock.js';

/**
 * The journal of a task is append-only. It is at once the live event stream, the checkpoint from which a crashed run
 * goes on, and the receipt that a user can check: each entry carries the hash of the one before it.
 *
 * | type | data |
 * |---|---|
 * | submitted | `mandate`, `max_ticks`, optional `callback_url`, optional `output_schema` |
 * | accepted | `worker_id`, `attempt` (the fencing token) |
 * | tick | `tick`, `thought`, `action`, `argument`, `model_calls`, `prompt_tokens`, `completion_tokens`, optional `data` (EXIT) |
 * | observation | `tick`, `text`, optional `source`, optional `links`, optional `failed` |
 * | released | `worker_id`, `reason`: the worker handed the task back (drain) |
 * | extended | `ticks`, `max_ticks`, `reservation` |
 * | finished | `status`, `usage`; `exit_reason`, `answer_sha256` and optional `data_sha256`, or `error`; optional `unticked` (model use outside ticks) |
 */
export const JOURNAL_TYPES = [
  'submitted',
  'accepted',
  'tick',
  'observation',
  'released',
  'extended',
  'finished',
] as const;
export type JournalType = (typeof JOURNAL_TYPES)[number];

/** An event before it has its place in the chain. `data` is plain JSON, snake_case: it goes over the wire as it is. */
export interface JournalEvent {
  readonly type: JournalType;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface JournalEntry extends JournalEvent {
  /** 1, 2, 3, … without gaps. */
  readonly seq: number;
  /** Hash of the entry before; 64 zeros for the first. */
  readonly prev: string;
  /** Hex SHA-256 over the canonical JSON of `[seq, prev, type, at, data]`. */
  readonly hash: string;
}

export interface JournalHead {
  readonly seq: number;
  readonly hash: string;
}

export const EMPTY_HEAD: JournalHead = { seq: 0, hash: '0'.repeat(64) };

/** JSON with object keys in code-unit order and no white space, so that equal data has equal bytes (as in RFC 8785). */
export function canonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value))
    return `[${value.map((item) => canonicalJson(item === undefined ? null : item)).join(',')}]`;
  const fields = value as Readonly<Record<string, unknown>>;
  let text = '';
  for (const key of Object.keys(fields).sort()) {
    const item = fields[key];
    if (item !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(item)}`;
  }
  return `{${text}}`;
}

/** Hex SHA-256 of a text in UTF-8. */
export function sha256(text: string): string {
  return hash('sha256', text);
}

function hashOf(entry: Omit<JournalEntry, 'hash'>): string {
  return sha256(canonicalJson([entry.seq, entry.prev, entry.type, entry.at, entry.data]));
}

/** Gives events their places behind `head`. */
export function chain(head: JournalHead, events: readonly JournalEvent[]): JournalEntry[] {
  let { seq, hash: prev } = head;
  return events.map(({ type, at, data }) => {
    seq += 1;
    const before = prev;
    prev = hashOf({ seq, prev: before, type, at, data });
    return { seq, prev: before, type, at, data, hash: prev };
  });
}

/** Where the journal ends after `entries`. */
export function headAfter(head: JournalHead, entries: readonly JournalEntry[]): JournalHead {
  const last = entries.at(-1);
  return last === undefined ? head : { seq: last.seq, hash: last.hash };
}

/** The first entry that breaks the chain, or null when the whole journal holds. */
export function findBreak(
  entries: readonly JournalEntry[],
  from: JournalHead = EMPTY_HEAD,
): JournalEntry | null {
  let head = from;
  for (const entry of entries) {
    if (entry.seq !== head.seq + 1 || entry.prev !== head.hash || entry.hash !== hashOf(entry)) return entry;
    head = { seq: entry.seq, hash: entry.hash };
  }
  return null;
}

export function entryToJson(entry: JournalEntry) {
  return {
    seq: entry.seq,
    type: entry.type,
    at: isoTime(entry.at),
    data: entry.data,
    prev: entry.prev,
    hash: entry.hash,
  };
}

/** Reads what {@link entryToJson} wrote; null when it is no journal entry. */
export function entryFromJson(json: unknown): JournalEntry | null {
  if (typeof json !== 'object' || json === null) return null;
  const { seq, type, at, data, prev, hash } = json as Record<string, unknown>;
  const knownType = JOURNAL_TYPES.find((known) => known === type);
  const ms = typeof at === 'string' ? Date.parse(at) : NaN;
  if (knownType === undefined || Number.isNaN(ms) || !Number.isSafeInteger(seq)) return null;
  // The hash covers the instant. Another spelling of it would be a change that no check finds.
  if (new Date(ms).toISOString() !== at) return null;
  if (typeof data !== 'object' || data === null || typeof prev !== 'string' || typeof hash !== 'string')
    return null;
  return { seq: seq as number, type: knownType, at: ms, data: data as Record<string, unknown>, prev, hash };
}
