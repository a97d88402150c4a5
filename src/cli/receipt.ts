import { canonicalJson, findBreak, type JournalEntry, sha256 } from '../domain/journal.js';
import { type ApiTask } from './api-client.js';
import { CommandError } from './command.js';

/** What a receipt proves. */
export interface Proven {
  readonly entries: number;
  readonly ticks: number;
}

const COUNTS = ['model_calls', 'prompt_tokens', 'completion_tokens'] as const;

/**
 * Checks a task against its journal: that the journal is whole and unchanged, and that the task's mandate, answer, data, sources and
 * charges are those that the journal recorded. Needs nothing but the two.
 * @throws CommandError that says what does not hold.
 */
export function checkReceipt(task: ApiTask, entries: readonly JournalEntry[]): Proven {
  const broken = findBreak(entries);
  if (broken !== null) throw new CommandError(`The chain of hashes breaks at entry ${broken.seq}.`);
  const last = entries.at(-1);
  if (last?.type !== 'finished') throw new CommandError('The journal does not end with the end of the task.');
  if (entries[0]?.data.mandate !== task.mandate) {
    throw new CommandError('The mandate is not the one that the journal recorded.');
  }
  if (last.data.status !== task.status) {
    throw new CommandError(`The task is ${task.status}, but its journal does not end so.`);
  }
  checkResult(task, entries, last);
  return { entries: entries.length, ticks: checkCharge(task, entries) };
}

function checkResult({ result }: ApiTask, entries: readonly JournalEntry[], last: JournalEntry): void {
  if (result === null) return;
  if (result.receipt !== last.hash)
    throw new CommandError("The result's receipt is not the head of the journal.");
  if (last.data.answer_sha256 !== sha256(result.answer)) {
    throw new CommandError('The answer is not the one that the journal recorded.');
  }
  const dataHash = result.data === null ? undefined : sha256(canonicalJson(result.data));
  if (last.data.data_sha256 !== dataHash) {
    throw new CommandError('The data is not what the journal recorded.');
  }
  const read = new Set(
    entries.flatMap(({ type, data }) => (type === 'observation' ? keyOf(data.source) : [])),
  );
  const foreign = result.sources.find((source) => !read.has(keyOf(source)[0] ?? ''));
  if (foreign !== undefined) {
    throw new CommandError(`The source ${foreign.id} is not one that the journal recorded as read.`);
  }
}

/** What of a source must be as it was read. */
function keyOf(source: unknown): string[] {
  if (typeof source !== 'object' || source === null) return [];
  const { id, url, title, retrieved_at: at, sha256: hash } = source as Record<string, unknown>;
  return [canonicalJson([id, url, title, at, hash])];
}

/** One tick for each tick of the journal, and the model's use as its ticks and its ends add up. */
function checkCharge({ usage }: ApiTask, entries: readonly JournalEntry[]): number {
  const ticks = entries.filter(({ type }) => type === 'tick');
  if (ticks.length !== usage.ticks) {
    throw new CommandError(`The task charges ${usage.ticks} ticks, but its journal has ${ticks.length}.`);
  }
  const unticked = entries.flatMap(({ data }) => (isObject(data.unticked) ? [data.unticked] : []));
  const spent = [...ticks.map(({ data }) => data), ...unticked];
  for (const name of COUNTS) {
    const charged = usage[name] ?? 0;
    const recorded = spent.reduce((sum, data) => sum + numberOf(data[name]), 0);
    if (charged !== recorded) {
      const what = name.replace('_', ' ');
      throw new CommandError(`The task counts ${charged} ${what}, but its journal has ${recorded}.`);
    }
  }
  return ticks.length;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
