import { EuglenaError } from '../../domain/errors.js';
import { entryFromJson, type JournalEntry } from '../../domain/journal.js';
import { taskFromJson, type TaskRecord } from '../../domain/task.js';

/** @throws EuglenaError `engine_unavailable` when what is stored is damaged. */
export function readRecord(json: string): TaskRecord {
  return read('record', json, taskFromJson);
}

/** @throws EuglenaError `engine_unavailable` when what is stored is damaged. */
export function readEntry(json: string): JournalEntry {
  return read('journal entry', json, entryFromJson);
}

function read<T>(what: string, json: string, from: (parsed: unknown) => T | null): T {
  let cause: unknown;
  try {
    const value = from(JSON.parse(json));
    if (value !== null) return value;
  } catch (error) {
    cause = error;
  }
  throw new EuglenaError('engine_unavailable', `A stored ${what} cannot be read.`, { cause });
}

/** A task's place in its owner's list, newest first. */
export interface Place {
  readonly createdAt: number;
  readonly correlationId: string;
}
const START: Place = { createdAt: Number.MAX_SAFE_INTEGER, correlationId: '' };

export function cursorBehind({ createdAt, correlationId }: Place): string {
  return Buffer.from(JSON.stringify([createdAt, correlationId])).toString('base64url');
}

/** The place that a cursor names; the list's start when it cannot be read. */
export function readCursor(cursor: string | undefined): Place {
  try {
    const [createdAt, correlationId]: unknown[] = JSON.parse(
      Buffer.from(cursor ?? '', 'base64url').toString(),
    ) as unknown[];
    if (Number.isSafeInteger(createdAt) && typeof correlationId === 'string') {
      return { createdAt: createdAt as number, correlationId };
    }
  } catch {
    // Reads like none, as the port promises.
  }
  return START;
}
