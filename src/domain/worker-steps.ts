import { type Action } from './action.js';
import { type JournalEvent } from './journal.js';
import { transition } from './lifecycle.js';
import { type TaskRecord, type TaskUsage } from './task.js';

/** What a step writes: the journal's new events, and what the record becomes. */
export interface Step {
  readonly events: readonly JournalEvent[];
  readonly record: Partial<TaskRecord>;
  readonly at: number;
}

/** The journal events of a worker's step; several may share one change, so that one round trip writes them all. */
export type WorkerStep =
  | { readonly kind: 'accepted'; readonly at: number }
  | { readonly kind: 'tick'; readonly at: number; readonly action: Action; readonly spent: TickCost }
  | { readonly kind: 'observation'; readonly at: number; readonly data: Readonly<Record<string, unknown>> };

/** What one tick cost in model calls and tokens. */
export interface TickCost {
  readonly modelCalls: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export const NO_COST: TickCost = { modelCalls: 0, promptTokens: 0, completionTokens: 0 };

export function addCost(a: TickCost, b: TickCost): TickCost {
  return {
    modelCalls: a.modelCalls + b.modelCalls,
    promptTokens: a.promptTokens + b.promptTokens,
    completionTokens: a.completionTokens + b.completionTokens,
  };
}

/** Applies steps, in order, to the record that a worker holds. `lease`: who writes, and by which claim. */
export function foldSteps(
  before: TaskRecord,
  lease: { readonly workerId: string; readonly token: number },
  steps: readonly WorkerStep[],
): Step {
  const events: JournalEvent[] = [];
  let record = before;
  let at = before.updatedAt;
  for (const step of steps) {
    at = step.at;
    if (step.kind === 'accepted') {
      const status = transition(record.status, 'accept');
      record = { ...record, status, workerId: lease.workerId, startedAt: record.startedAt ?? at };
      events.push({ type: 'accepted', at, data: { worker_id: lease.workerId, attempt: lease.token } });
    } else if (step.kind === 'tick') {
      const usage = addTick(record.usage, step.spent);
      record = { ...record, status: transition(record.status, 'begin'), tick: record.tick + 1, usage };
      events.push({ type: 'tick', at, data: tickData(record.tick, step) });
    } else {
      events.push({ type: 'observation', at, data: { tick: record.tick, ...step.data } });
    }
  }
  return { events, record, at };
}

function addTick(usage: TaskUsage, spent: TickCost): TaskUsage {
  return { ticks: usage.ticks + 1, ...addCost(usage, spent) };
}

/** What was spent on a tick that never came to be. It is counted, and charged as no tick. */
export function unticked(usage: TaskUsage, spent: TickCost): { usage: TaskUsage; data: object } {
  const data = Object.values(spent).every((count) => count === 0) ? {} : { unticked: costToJson(spent) };
  return { usage: { ...usage, ...addCost(usage, spent) }, data };
}

function costToJson({ modelCalls, promptTokens, completionTokens }: TickCost) {
  return { model_calls: modelCalls, prompt_tokens: promptTokens, completion_tokens: completionTokens };
}

function tickData(tick: number, step: Extract<WorkerStep, { kind: 'tick' }>) {
  return {
    tick,
    thought: step.action.thought,
    action: step.action.name,
    argument: step.action.argument,
    data: step.action.data,
    ...costToJson(step.spent),
  };
}
