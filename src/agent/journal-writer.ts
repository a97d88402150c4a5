import { Logger } from '@nestjs/common';
import { type Clock } from '../domain/clock.js';
import { EuglenaError } from '../domain/errors.js';
import { EMPTY_HEAD, type JournalEntry } from '../domain/journal.js';
import { type TaskFailure, type TaskRecord, type TaskResult } from '../domain/task.js';
import {
  completion,
  failure,
  type Lease,
  release,
  type TaskChange,
  workerChange,
} from '../domain/task-change.js';
import { NO_COST, type TickCost, type WorkerStep } from '../domain/worker-steps.js';
import { LogLine } from '../observability/log-line.js';
import { type CommitOutcome, type TaskStore } from '../ports/task-store/task-store.port.js';
import { RunAborted } from './run-aborted.js';

/** How long a step may wait for the next one, so that both are one write, in ms. */
const LATER_MS = 50;
/** How long an unavailable store is asked again before the run is given up, in ms. */
const PATIENCE_MS = 60_000;
/** The same while the worker stops, in ms: what is not handed back in time is delivered again without it. */
const LEAVING_PATIENCE_MS = 5_000;
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5_000;

/** What a claim brought: the right to write, and what is written so far. */
interface Claimed {
  readonly lease: Lease;
  readonly record: TaskRecord;
  readonly journal: readonly JournalEntry[];
}

type Build = (before: TaskRecord, steps: readonly WorkerStep[]) => TaskChange;

/**
 * The one writer of a running task. Steps that need not be durable at once wait for the next that must, so that a fast
 * tick is one write; left alone they are written after 50 ms, so that a slow tick is seen live. Writes are strictly in
 * order. A write that is fenced off rejects with {@link RunAborted} `lease_lost`. A store that lost what it had confirmed
 * gets it again from here: while a task runs, nobody knows it better.
 */
export class JournalWriter {
  private readonly logger = new Logger('JournalWriter');
  private pending: WorkerStep[] = [];
  private tail: Promise<unknown> = Promise.resolve();
  private flushing = false;
  private broken: unknown;
  private readonly lease: Lease;
  private current: TaskRecord;
  /** The whole journal as the store confirmed it. */
  private readonly journal: JournalEntry[];

  constructor(
    private readonly store: TaskStore,
    private readonly clock: Clock,
    { lease, record, journal }: Claimed,
    /** Ends the waiting of steps when the run ends. */
    private readonly signal: AbortSignal,
  ) {
    this.lease = lease;
    this.current = record;
    this.journal = [...journal];
  }

  /** The record as of the last write. */
  get record(): TaskRecord {
    return this.current;
  }

  /** Writes `step` with the next write, or after 50 ms. */
  later(step: WorkerStep): void {
    this.pending.push(step);
    if (this.flushing) return;
    this.flushing = true;
    void this.flushLater();
  }

  /** Resolves when `steps`, and all before them, are durable. */
  now(...steps: readonly WorkerStep[]): Promise<void> {
    this.pending.push(...steps);
    return this.flush();
  }

  /** `spent`: what the model took for a tick that never came to be. */
  complete(result: Omit<TaskResult, 'receipt'>, step?: WorkerStep, spent?: TickCost): Promise<void> {
    if (step) this.pending.push(step);
    return this.write((before, steps) =>
      completion(before, this.lease, steps, result, this.clock.now(), spent),
    );
  }

  /** `spent` as in {@link complete}. */
  fail(error: TaskFailure, spent: TickCost = NO_COST): Promise<void> {
    return this.write((before, steps) =>
      failure(before, error, this.clock.now(), { lease: this.lease, steps, spent }),
    );
  }

  release(reason: string): Promise<void> {
    return this.write((before, steps) => release(before, this.lease, steps, reason, this.clock.now()));
  }

  /** Gives the task back to a store that lost it. Where it is still stored, a worker without its lease writes nothing. */
  async restoreIfLost(): Promise<void> {
    const stored = await this.patiently(() => this.store.find(this.current.correlationId));
    if (stored === null) await this.release('store_lost');
  }

  private async flushLater(): Promise<void> {
    try {
      await this.clock.sleep(LATER_MS, this.signal);
      await this.flush();
    } catch (error) {
      // The run learns of it with its next write; an ended run has nothing left to learn.
      if (!this.signal.aborted) this.broken = error;
    } finally {
      this.flushing = false;
    }
  }

  private flush(): Promise<void> {
    return this.write((before, steps) => workerChange(before, this.lease, steps), true);
  }

  private write(build: Build, onlyIfPending = false): Promise<void> {
    const work = async () => {
      if (this.broken !== undefined) throw this.broken as Error;
      if (onlyIfPending && this.pending.length === 0) return;
      await this.apply(build, this.pending.splice(0));
    };
    const written = this.tail.then(work);
    this.tail = written.catch(() => undefined);
    return written;
  }

  private async apply(build: Build, steps: readonly WorkerStep[]): Promise<void> {
    const change = build(this.current, steps);
    const { kind } = await this.patiently(() => this.store.commit(change));
    if (kind !== 'committed' && !(await this.holdsNow(change, kind))) throw new RunAborted('lease_lost');
    this.current = change.record;
    this.journal.push(...change.entries);
  }

  /** Whether a change that was refused is stored all the same, by an earlier try or by a new one. */
  private async holdsNow(change: TaskChange, refusal: CommitOutcome['kind']): Promise<boolean> {
    const stored = await this.patiently(() => this.store.find(change.record.correlationId));
    // An earlier try may have been applied although its answer was lost.
    if (stored?.head.hash === change.record.head.hash) return true;
    const { seq, hash } = stored?.head ?? EMPTY_HEAD;
    if (stored !== null && (refusal === 'lease_lost' || this.journal[seq - 1]?.hash !== hash)) return false;
    // The store holds less than it confirmed.
    const entries = [...this.journal.slice(seq), ...change.entries];
    const { kind } = await this.patiently(() => this.store.commit({ ...change, expectedSeq: seq, entries }));
    if (kind !== 'committed') return false;
    this.logger.warn(
      new LogLine(`entries after ${seq} were lost and are stored again`, {
        task: change.record.correlationId,
      }),
    );
    return true;
  }

  private async patiently<T>(ask: () => Promise<T>): Promise<T> {
    const begin = this.clock.now();
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      try {
        return await ask();
      } catch (error) {
        const unavailable = error instanceof EuglenaError && error.code === 'engine_unavailable';
        if (!unavailable || this.clock.now() + wait > begin + this.patienceMs()) throw error;
        await this.clock.sleep(wait);
      }
    }
  }

  private patienceMs(): number {
    const reason: unknown = this.signal.aborted ? this.signal.reason : null;
    return reason instanceof RunAborted && reason.reason === 'drain' ? LEAVING_PATIENCE_MS : PATIENCE_MS;
  }
}
