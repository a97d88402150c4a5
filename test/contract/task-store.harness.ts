import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { type Clock } from '../../src/domain/clock.js';
import { type TaskRecord } from '../../src/domain/task.js';
import {
  completion,
  extension,
  type Lease,
  submission,
  type TaskChange,
  workerChange,
} from '../../src/domain/task-change.js';
import { type WorkerStep } from '../../src/domain/worker-steps.js';
import { type ClaimOutcome, type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { plainResult } from '../support/plain-result.js';

/** What an adapter brings to the suite. */
export interface TaskStoreHarness {
  /** An empty store. */
  readonly store: TaskStore;
  /** The time by which the store's leases and holds run. */
  readonly clock: Clock;
  /** How long a lease lasts after a commit or a renewal. At most 300. */
  readonly leaseMs: number;
  /** Another instance over the same data: another process, as far as the adapter knows. */
  again(): Promise<TaskStore>;
  elapse(ms: number): Promise<void>;
  /** Closes every instance and removes the data. */
  close(): Promise<void>;
}

export type Claimed = Extract<ClaimOutcome, { kind: 'claimed' }>;
/** What a worker has in hand. */
export interface Work {
  readonly lease: Lease;
  readonly record: TaskRecord;
}

/** The steps of tasks, as gateways and workers take them; each must be committed. */
export class Tasks {
  constructor(
    private readonly harness: TaskStoreHarness,
    private readonly store: TaskStore = harness.store,
  ) {}

  now(): number {
    return this.harness.clock.now();
  }

  creation(id: string = randomUUID(), owner: string | null = 'alice', queued = false): TaskChange {
    const input = { correlationId: id, owner, mandate: `Find out about ${id}`, maxTicks: 10 };
    return submission(input, this.now(), queued);
  }

  async submit(
    id: string = randomUUID(),
    owner: string | null = 'alice',
    queued = false,
  ): Promise<TaskRecord> {
    return this.committed(this.creation(id, owner, queued));
  }

  async claim(id: string, workerId = 'agent-1', leaseMs = this.harness.leaseMs): Promise<Claimed> {
    const outcome = await this.store.claim(this.creation(id), workerId, leaseMs);
    if (outcome.kind !== 'claimed') throw new Error(`not claimed but ${outcome.kind}`);
    return outcome;
  }

  async committed(change: TaskChange): Promise<TaskRecord> {
    expect(await this.store.commit(change)).toEqual({ kind: 'committed' });
    return change.record;
  }

  async step(work: Work, ...steps: WorkerStep[]): Promise<Work> {
    return { lease: work.lease, record: await this.committed(workerChange(work.record, work.lease, steps)) };
  }

  accepted(): WorkerStep {
    return { kind: 'accepted', at: this.now() };
  }

  tick(argument = 'euglena'): WorkerStep {
    return {
      kind: 'tick',
      at: this.now(),
      action: { name: 'SEARCH', argument, thought: 'Look first.' },
      spent: { modelCalls: 1, promptTokens: 20, completionTokens: 5 },
    };
  }

  observation(text = 'Nothing new.'): WorkerStep {
    return { kind: 'observation', at: this.now(), data: { text } };
  }

  /** The end by the worker, with an answer. */
  end({ record, lease }: Work, answer = '42'): TaskChange {
    return completion(record, lease, [], plainResult(answer), this.now());
  }

  /** Submits, works on and ends a task. */
  async finish(id: string = randomUUID(), owner: string | null = 'alice'): Promise<TaskRecord> {
    await this.submit(id, owner);
    const work = await this.step(await this.claim(id), this.accepted(), this.tick());
    return this.committed(this.end(work));
  }

  /** More ticks for a task that ended; it waits in the outbox again. */
  extension(record: TaskRecord): TaskChange {
    const reservation = `${record.correlationId}:${record.head.seq}`;
    return extension(record, { ticks: 5, reservation }, this.now());
  }
}
