import { type Callback, callbackTo } from './callback.js';
import { type TaskEnvelope, ENVELOPE_VERSION } from './envelope.js';
import { type ErrorCode } from './errors.js';
import { canonicalJson, chain, EMPTY_HEAD, headAfter, type JournalEntry, sha256 } from './journal.js';
import { transition } from './lifecycle.js';
import { type OutputSchema } from './output-schema.js';
import { NO_USAGE, type TaskRecord, type TaskResult, usageToJson } from './task.js';
import { foldSteps, NO_COST, type Step, type TickCost, unticked, type WorkerStep } from './worker-steps.js';

/** The right to write to a task: one at a time. A larger token fences off every smaller one. */
export interface Lease {
  readonly correlationId: string;
  readonly workerId: string;
  /** Fencing token: grows by one with each claim of the task. */
  readonly token: number;
}

/** Ticks to charge for a reservation, told to the quota by a gateway. */
export interface Settlement {
  readonly correlationId: string;
  /** The reservation to settle, where it is not the task's first: that has the task's own id. */
  readonly reservation?: string;
  readonly owner: string;
  readonly usedTicks: number;
}

/**
 * One step of a task's life, computed here and applied by the task store as a whole or not at all. It applies only
 * while the stored journal still ends at `expectedSeq` and, where a lease is given, while that lease still holds.
 */
export interface TaskChange {
  /** The record as it is afterwards. */
  readonly record: TaskRecord;
  /** Sequence number of the journal's last entry before; 0 creates the task, or restores it. */
  readonly expectedSeq: number;
  readonly entries: readonly JournalEntry[];
  /** Present when a worker writes; absent when a gateway does. */
  readonly lease?: Lease;
  /** Whether the task's lease ends with this change, whoever holds it. */
  readonly endsLease: boolean;
  /** Refused when the owner has so many unfinished tasks already. For changes that make a task unfinished. */
  readonly activeLimit?: number;
  /** To be published to the work queue by whoever finds it. */
  readonly outbox?: TaskEnvelope;
  readonly settlement?: Settlement;
  /** Whether this end is to be told to the record's callback by whoever finds it. */
  readonly callsBack?: boolean;
}

function change(before: TaskRecord, step: Step, rest: Partial<TaskChange> = {}): TaskChange {
  const entries = chain(before.head, step.events);
  return {
    record: { ...before, ...step.record, updatedAt: step.at, head: headAfter(before.head, entries) },
    expectedSeq: before.head.seq,
    entries,
    endsLease: false,
    ...rest,
  };
}

/** A new task. `owner` null: a foreign publisher's. With `queued`, its envelope goes into the outbox in the same step. */
export function submission(
  input: {
    correlationId: string;
    owner: string | null;
    mandate: string;
    maxTicks: number;
    traceparent?: string | null;
    /** Where the end is to be told. */
    callbackUrl?: string | null;
    /** What the result's data is to follow. */
    outputSchema?: OutputSchema | null;
  },
  at: number,
  queued: boolean,
): TaskChange {
  // Only a user has a secret by which the receiver can know us.
  const callbackUrl = input.owner === null ? null : (input.callbackUrl ?? null);
  const blank: TaskRecord = {
    correlationId: input.correlationId,
    owner: input.owner,
    status: 'pending',
    mandate: input.mandate,
    maxTicks: input.maxTicks,
    outputSchema: input.outputSchema ?? null,
    tick: 0,
    result: null,
    error: null,
    usage: NO_USAGE,
    reservation: input.correlationId,
    ticksPaid: 0,
    callback: callbackUrl === null ? null : callbackTo(callbackUrl),
    workerId: null,
    createdAt: at,
    updatedAt: at,
    startedAt: null,
    finishedAt: null,
    head: EMPTY_HEAD,
  };
  const data = {
    mandate: input.mandate,
    max_ticks: input.maxTicks,
    ...(callbackUrl === null ? {} : { callback_url: callbackUrl }),
    ...(blank.outputSchema === null ? {} : { output_schema: blank.outputSchema }),
  };
  const step: Step = { events: [{ type: 'submitted', at, data }], record: {}, at };
  return change(blank, step, queued ? { outbox: envelopeOf(blank, input.traceparent ?? null) } : {});
}

export function envelopeOf(record: TaskRecord, traceparent: string | null = null): TaskEnvelope {
  return {
    mandate: record.mandate,
    maxTicks: record.maxTicks,
    correlationId: record.correlationId,
    version: ENVELOPE_VERSION,
    owner: record.owner,
    createdAt: record.createdAt,
    traceparent,
    callbackUrl: record.callback?.url ?? null,
    outputSchema: record.outputSchema,
  };
}

/** What a worker did, written under its lease. */
export function workerChange(before: TaskRecord, lease: Lease, steps: readonly WorkerStep[]): TaskChange {
  const folded = foldSteps(before, lease, steps);
  return change(before, folded, { lease });
}

/**
 * The end of a task by its worker, with the steps that were not written yet. `result.receipt` is filled in here. `spent` is
 * what the model took for a tick that never came to be.
 */
export function completion(
  before: TaskRecord,
  lease: Lease,
  steps: readonly WorkerStep[],
  result: Omit<TaskResult, 'receipt'>,
  at: number,
  spent: TickCost = NO_COST,
): TaskChange {
  const folded = foldSteps(before, lease, steps);
  const rest = unticked(folded.record.usage ?? before.usage, spent);
  const record = { ...before, ...folded.record, usage: rest.usage };
  const data = {
    status: 'completed',
    exit_reason: result.exitReason,
    answer_sha256: sha256(result.answer),
    data_sha256: result.data === null ? undefined : sha256(canonicalJson(result.data)),
    usage: usageToJson(record.usage),
    ...rest.data,
  };
  const done = change(
    before,
    {
      events: [...folded.events, { type: 'finished', at, data }],
      record: { ...record, status: transition(record.status, 'complete'), finishedAt: at },
      at,
    },
    { lease, ...endOf(record) },
  );
  return { ...done, record: { ...done.record, result: { ...result, receipt: done.record.head.hash } } };
}

/** The end of a task by a failure. Without a lease it is written by whoever found the task undeliverable. */
export function failure(
  before: TaskRecord,
  error: { code: ErrorCode; message: string },
  at: number,
  worker?: { lease: Lease; steps: readonly WorkerStep[]; spent?: TickCost },
): TaskChange {
  const folded = worker ? foldSteps(before, worker.lease, worker.steps) : { events: [], record: before, at };
  const rest = unticked(folded.record.usage ?? before.usage, worker?.spent ?? NO_COST);
  const record = { ...before, ...folded.record, usage: rest.usage };
  const data = { status: 'error', error, usage: usageToJson(record.usage), ...rest.data };
  return change(
    before,
    {
      events: [...folded.events, { type: 'finished', at, data }],
      record: { ...record, status: transition(record.status, 'fail'), error, finishedAt: at },
      at,
    },
    { ...(worker ? { lease: worker.lease } : {}), ...endOf(record) },
  );
}

/** The end of a task by its owner. */
export function cancellation(before: TaskRecord, at: number): TaskChange {
  const data = { status: 'cancelled', usage: usageToJson(before.usage) };
  return change(
    before,
    {
      events: [{ type: 'finished', at, data }],
      record: { status: transition(before.status, 'cancel'), finishedAt: at },
      at,
    },
    endOf(before),
  );
}

/** A worker hands the task back, with what it had not written yet; the queue delivers it again. */
export function release(
  before: TaskRecord,
  lease: Lease,
  steps: readonly WorkerStep[],
  reason: string,
  at: number,
): TaskChange {
  const folded = foldSteps(before, lease, steps);
  const record = { ...before, ...folded.record };
  return change(
    before,
    {
      events: [...folded.events, { type: 'released', at, data: { worker_id: lease.workerId, reason } }],
      record: { ...folded.record, status: transition(record.status, 'release'), workerId: null },
      at,
    },
    { lease, endsLease: true },
  );
}

/**
 * More ticks for a task that has ended. It waits for a worker again and goes on from its journal; its answer, or what it
 * failed of, is taken back. `reservation` pays for all that it may still use.
 */
export function extension(
  before: TaskRecord,
  input: { ticks: number; reservation: string; traceparent?: string | null },
  at: number,
): TaskChange {
  const { ticks, reservation } = input;
  const maxTicks = before.maxTicks + ticks;
  const extended = change(before, {
    events: [{ type: 'extended', at, data: { ticks, max_ticks: maxTicks, reservation } }],
    record: {
      status: transition(before.status, 'extend'),
      maxTicks,
      result: null,
      error: null,
      reservation,
      ticksPaid: before.usage.ticks,
      callback: before.callback && callbackTo(before.callback.url),
      workerId: null,
      finishedAt: null,
    },
    at,
  });
  return { ...extended, outbox: envelopeOf(extended.record, input.traceparent ?? null) };
}

/** What is known of a callback after an attempt. Nothing of the task itself changes. */
export function callbackReport(before: TaskRecord, callback: Callback): TaskChange {
  return { record: { ...before, callback }, expectedSeq: before.head.seq, entries: [], endsLease: false };
}

/** What every end brings with it. */
function endOf(record: TaskRecord): Partial<TaskChange> {
  return {
    endsLease: true,
    ...settlementOf(record),
    ...(record.callback === null ? {} : { callsBack: true }),
  };
}

function settlementOf(record: TaskRecord): Partial<TaskChange> {
  const { correlationId, owner, reservation, usage, ticksPaid } = record;
  if (owner === null) return {};
  const extended = reservation === correlationId ? {} : { reservation };
  return { settlement: { correlationId, ...extended, owner, usedTicks: usage.ticks - ticksPaid } };
}
