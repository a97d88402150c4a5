import { type Callback, callbackFromJson, callbackToJson } from './callback.js';
import { isoTime } from './clock.js';
import { type ErrorCode, ERROR_KINDS } from './errors.js';
import { type JournalHead } from './journal.js';
import { type OutputSchema } from './output-schema.js';

/** What is stored. The API shows three of them under other names, see {@link visibleStatus}. */
export const TASK_STATUSES = [
  'pending',
  'accepted',
  'in_progress',
  'completed',
  'error',
  'cancelled',
] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export const VISIBLE_STATUSES = ['in_queue', 'in_progress', 'completed', 'error', 'cancelled'] as const;
export type VisibleStatus = (typeof VISIBLE_STATUSES)[number];

const VISIBLE: Record<TaskStatus, VisibleStatus> = {
  pending: 'in_queue',
  accepted: 'in_progress',
  in_progress: 'in_progress',
  completed: 'completed',
  error: 'error',
  cancelled: 'cancelled',
};

/** The name under which the API shows a stored status. */
export function visibleStatus(status: TaskStatus): VisibleStatus {
  return VISIBLE[status];
}

/** Stored statuses behind a visible one, for filters. */
export function storedStatuses(visible: VisibleStatus): TaskStatus[] {
  return TASK_STATUSES.filter((status) => VISIBLE[status] === visible);
}

/** What a task has used so far. One tick is one action, whatever number of model calls it took. */
export interface TaskUsage {
  readonly ticks: number;
  readonly modelCalls: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export const NO_USAGE: TaskUsage = { ticks: 0, modelCalls: 0, promptTokens: 0, completionTokens: 0 };

/** A document that the agent read. Its id (`s1`, `s2`, …) is given on reading; answers cite ids, never addresses. */
export interface Source {
  readonly id: string;
  readonly url: string;
  readonly title: string;
  /** Epoch milliseconds. */
  readonly retrievedAt: number;
  /** Hex SHA-256 of the text that was read. */
  readonly sha256: string;
}

/** `answered`: the model chose EXIT. `max_ticks`: the budget ended and the best that is known was given. */
export type ExitReason = 'answered' | 'max_ticks';

export interface TaskResult {
  readonly answer: string;
  readonly exitReason: ExitReason;
  readonly sources: readonly Source[];
  /** The sentences of the answer that cite no source, as they stand in it. */
  readonly unsupported: readonly string[];
  /** What follows the task's schema; null without a schema, and where `dataError` says why not. */
  readonly data: Readonly<Record<string, unknown>> | null;
  /** Why there is no data although the task has a schema; else null. */
  readonly dataError: string | null;
  /** What produced the answer: a model's name, or `extractive (offline, no model)`. */
  readonly model: string;
  /** Hash of the journal's `finished` entry: the head of the chain that proves this result. Empty while unfinished. */
  readonly receipt: string;
}

export interface TaskFailure {
  readonly code: ErrorCode;
  readonly message: string;
}

/** A task as it is stored. Times are epoch milliseconds. */
export interface TaskRecord {
  readonly correlationId: string;
  /** The user whose task it is; null when another AMQP client published the envelope itself. */
  readonly owner: string | null;
  readonly status: TaskStatus;
  readonly mandate: string;
  readonly maxTicks: number;
  /** What the result's data is to follow, if any is wanted. */
  readonly outputSchema: OutputSchema | null;
  /** Ticks done so far. */
  readonly tick: number;
  readonly result: TaskResult | null;
  readonly error: TaskFailure | null;
  readonly usage: TaskUsage;
  /** The quota's reservation that pays for what the task does now: its own id, or what its newest extension made. */
  readonly reservation: string;
  /** Ticks that earlier reservations paid for. */
  readonly ticksPaid: number;
  /** Whom to tell of the end, if anybody. */
  readonly callback: Callback | null;
  readonly workerId: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  /** Where the journal ends: sequence number and hash of its last entry. */
  readonly head: JournalHead;
}

const iso = (ms: number | null): string | null => (ms === null ? null : isoTime(ms));

/** The shape that users see. Owner and worker internals of the store are left out; `worker_id` stays, as in the seed. */
export function taskToApi(task: TaskRecord) {
  return {
    correlation_id: task.correlationId,
    status: visibleStatus(task.status),
    mandate: task.mandate,
    max_ticks: task.maxTicks,
    output_schema: task.outputSchema,
    tick: task.tick,
    result: task.result === null ? null : resultToJson(task.result),
    error: task.error,
    usage: usageToJson(task.usage),
    callback: task.callback === null ? null : callbackToJson(task.callback),
    worker_id: task.workerId,
    created_at: iso(task.createdAt),
    updated_at: iso(task.updatedAt),
    started_at: iso(task.startedAt),
    finished_at: iso(task.finishedAt),
  };
}

/** The stored JSON of `task:<correlation_id>`: the API's fields with the stored status, the owner, who pays, and the journal's head. */
export function taskToJson(task: TaskRecord): Record<string, unknown> {
  // New fields behind a spread cost V8 ten times as much.
  return Object.assign(taskToApi(task), {
    status: task.status,
    user_id: task.owner,
    reservation: task.reservation,
    ticks_paid: task.ticksPaid,
    journal_seq: task.head.seq,
    journal_hash: task.head.hash,
  });
}

export function usageToJson(usage: TaskUsage) {
  return {
    ticks: usage.ticks,
    model_calls: usage.modelCalls,
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
  };
}

export function resultToJson(result: TaskResult) {
  return {
    answer: result.answer,
    exit_reason: result.exitReason,
    sources: result.sources.map((source) => ({
      id: source.id,
      url: source.url,
      title: source.title,
      retrieved_at: iso(source.retrievedAt),
      sha256: source.sha256,
    })),
    unsupported: result.unsupported,
    data: result.data,
    data_error: result.dataError,
    model: result.model,
    receipt: result.receipt,
  };
}

type Json = Record<string, unknown>;
const text = (value: unknown, fallback = ''): string => (typeof value === 'string' ? value : fallback);
const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);
const count = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0;
const time = (value: unknown): number | null => {
  const ms = typeof value === 'string' ? Date.parse(value) : NaN;
  return Number.isNaN(ms) ? null : ms;
};
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Reads what {@link taskToJson} wrote, by this version or another: unknown fields are ignored, missing ones get
 * their empty value. Returns null when it is no task record at all.
 */
export function taskFromJson(json: unknown): TaskRecord | null {
  if (!isObject(json)) return null;
  const status = TASK_STATUSES.find((known) => known === json.status);
  const correlationId = textOrNull(json.correlation_id);
  const mandate = textOrNull(json.mandate);
  const createdAt = time(json.created_at);
  if (status === undefined || correlationId === null || mandate === null || createdAt === null) return null;
  const usage = isObject(json.usage) ? json.usage : {};
  return {
    correlationId,
    owner: textOrNull(json.user_id),
    status,
    mandate,
    maxTicks: count(json.max_ticks),
    outputSchema: isObject(json.output_schema) ? json.output_schema : null,
    tick: count(json.tick),
    result: isObject(json.result) ? resultFromJson(json.result) : null,
    error: isObject(json.error) ? failureFromJson(json.error) : null,
    usage: {
      ticks: count(usage.ticks),
      modelCalls: count(usage.model_calls),
      promptTokens: count(usage.prompt_tokens),
      completionTokens: count(usage.completion_tokens),
    },
    reservation: text(json.reservation, correlationId),
    ticksPaid: count(json.ticks_paid),
    callback: callbackFromJson(json.callback),
    workerId: textOrNull(json.worker_id),
    createdAt,
    updatedAt: time(json.updated_at) ?? createdAt,
    startedAt: time(json.started_at),
    finishedAt: time(json.finished_at),
    head: { seq: count(json.journal_seq), hash: text(json.journal_hash) },
  };
}

function resultFromJson(json: Json): TaskResult {
  const sources = Array.isArray(json.sources) ? json.sources.filter(isObject) : [];
  return {
    answer: text(json.answer),
    exitReason: json.exit_reason === 'max_ticks' ? 'max_ticks' : 'answered',
    sources: sources.map((source) => ({
      id: text(source.id),
      url: text(source.url),
      title: text(source.title),
      retrievedAt: time(source.retrieved_at) ?? 0,
      sha256: text(source.sha256),
    })),
    unsupported: Array.isArray(json.unsupported)
      ? json.unsupported.filter((one) => typeof one === 'string')
      : [],
    data: isObject(json.data) ? json.data : null,
    dataError: textOrNull(json.data_error),
    model: text(json.model),
    receipt: text(json.receipt),
  };
}

function failureFromJson(json: Json): TaskFailure {
  const code = text(json.code);
  return {
    code: Object.hasOwn(ERROR_KINDS, code) ? (code as ErrorCode) : 'internal',
    message: text(json.message),
  };
}
