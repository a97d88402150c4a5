/**
 * A process of its own for the SQLite suite. Arguments: data folder, worker id, lease in ms, ids of tasks. It works on
 * those tasks, racing with whoever else does, until all have ended. It says `ready`, starts at the end of its input, and
 * tells each commit on a line of its own once the store answered.
 */
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { systemClock } from '../../src/config/system-clock.js';
import {
  completion,
  type Lease,
  release,
  submission,
  type TaskChange,
  workerChange,
} from '../../src/domain/task-change.js';
import { type WorkerStep } from '../../src/domain/worker-steps.js';
import { type TaskRecord } from '../../src/domain/task.js';
import { EmbeddedDatabase } from '../../src/ports/embedded/embedded-database.js';
import { SqliteTaskStore } from '../../src/ports/task-store/sqlite-task-store.js';
import { plainResult } from '../support/plain-result.js';

const [dataDir = '', workerId = '', lease = '', ...ids] = process.argv.slice(2);
const leaseMs = Number(lease);
const TICKS = 20;
/** So many ticks, then the task goes to another worker. */
const TICKS_AT_ONCE = 3;

const now = () => systemClock.now();
const database = EmbeddedDatabase.open(dataDir);
const store = new SqliteTaskStore(database, systemClock, leaseMs);

async function commit(change: TaskChange): Promise<TaskRecord | null> {
  const { kind } = await store.commit(change);
  if (kind !== 'committed') return null;
  const { correlationId, head } = change.record;
  const entries = change.entries.map(({ seq, hash }) => ({ seq, hash }));
  writeSync(1, `${JSON.stringify({ workerId, correlationId, entries, seq: head.seq })}\n`);
  return change.record;
}

function tick(query: string): WorkerStep {
  const action = { name: 'SEARCH', argument: query, thought: '' } as const;
  return { kind: 'tick', at: now(), action, spent: { modelCalls: 1, promptTokens: 1, completionTokens: 1 } };
}

async function work(before: TaskRecord, held: Lease): Promise<void> {
  let record = await commit(workerChange(before, held, [{ kind: 'accepted', at: now() }]));
  for (let done = 0; record !== null && done < TICKS_AT_ONCE && record.tick < TICKS; done += 1) {
    record = await commit(workerChange(record, held, [tick(`${workerId} ${done}`)]));
    // Lets the other process in between: a worker waits for its model and its pages here.
    await systemClock.sleep(1);
  }
  if (record !== null && record.tick < TICKS) await commit(release(record, held, [], 'drain', now()));
  else if (record !== null) {
    const result = plainResult(workerId);
    await commit(completion(record, held, [], result, now()));
  }
  // Where somebody else wrote first, the lease is still held: the task is to be looked at anew.
  await store.surrender(held);
}

/** Nobody's lease guards this: only the expected end of the journal decides which of two processes writes. */
async function race(correlationId: string): Promise<void> {
  const record = await store.find(correlationId);
  if (record === null || record.status !== 'in_progress') return;
  const observation = { kind: 'observation', at: now(), data: { text: `seen by ${workerId}` } } as const;
  const { lease: _, ...unfenced } = workerChange(record, { correlationId, workerId, token: 0 }, [
    observation,
  ]);
  await commit(unfenced);
}

writeSync(1, 'ready\n');
await once(process.stdin.resume(), 'end');
const open = new Set(ids);
while (open.size > 0) {
  for (const correlationId of open) {
    const input = { correlationId, owner: 'alice', mandate: 'Race.', maxTicks: TICKS + 1 };
    const outcome = await store.claim(submission(input, now(), false), workerId, leaseMs);
    if (outcome.kind === 'finished') open.delete(correlationId);
    else if (outcome.kind === 'claimed') await work(outcome.record, outcome.lease);
    else {
      await race(correlationId);
      // The file's write lock is not fair: without a pause the other process would hardly get it.
      await systemClock.sleep(10);
    }
  }
}
await store.close();
database.close();
