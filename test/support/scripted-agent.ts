import { completion, type Lease, submission, workerChange } from '../../src/domain/task-change.js';
import { type WorkerStep } from '../../src/domain/worker-steps.js';
import { type TaskRecord } from '../../src/domain/task.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { plainResult } from './plain-result.js';

/** What an agent writes in a tick. */
export const tickStep = (argument = 'a note', at = Date.now()): WorkerStep => ({
  kind: 'tick',
  at,
  action: { name: 'THINK', argument, thought: 'think' },
  spent: { modelCalls: 1, promptTokens: 10, completionTokens: 2 },
});

/** Takes a task that is stored, as an agent does. */
export async function claimTask(store: TaskStore, id: string): Promise<{ record: TaskRecord; lease: Lease }> {
  const stored = await store.find(id);
  if (stored === null) throw new Error(`there is no task ${id}`);
  const claim = await store.claim(submission(stored, stored.createdAt, false), 'scripted-agent', 30_000);
  if (claim.kind !== 'claimed') throw new Error(`not claimed but ${claim.kind}`);
  const accepted = workerChange(claim.record, claim.lease, [{ kind: 'accepted', at: Date.now() }]);
  await store.commit(accepted);
  return { record: accepted.record, lease: claim.lease };
}

/** Takes a task, works `ticks` ticks on it and answers. */
export async function claimAndAnswer(store: TaskStore, id: string, ticks = 1): Promise<TaskRecord> {
  const { record, lease } = await claimTask(store, id);
  const steps = Array.from({ length: ticks }, () => tickStep());
  const result = plainResult('It is so.', 'scripted');
  const change = completion(record, lease, steps, result, Date.now());
  const { kind } = await store.commit(change);
  if (kind !== 'committed') throw new Error(`not ended but ${kind}`);
  return change.record;
}
