import { type Clock } from '../domain/clock.js';
import { isTerminal } from '../domain/lifecycle.js';
import { type Lease } from '../domain/task-change.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';
import { type AbortReason, RunAborted } from './run-aborted.js';
import { type TaskRun } from './task-run.js';

/** How long changes of a task are collected before its record is looked at, in ms. */
const LOOK_EVERY_MS = 200;

/** One task that this worker runs. */
export interface RunningTask {
  readonly lease: Lease;
  readonly abort: AbortController;
  run?: TaskRun;
}

/** The tasks that this worker runs, and what ends them from outside. */
export class RunningTasks {
  private readonly tasks = new Map<string, RunningTask>();
  private leaving = false;

  constructor(
    private readonly store: TaskStore,
    private readonly clock: Clock,
    /** Told whenever the number of tasks has changed. */
    private readonly onChange: () => void,
  ) {}

  get size(): number {
    return this.tasks.size;
  }

  leases(): Lease[] {
    return [...this.tasks.values()].map(({ lease }) => lease);
  }

  /** Runs `work` with a signal that aborts on cancel, deadline, lost lease and the end of a drain's grace. */
  async hold(lease: Lease, deadlineMs: number, work: (task: RunningTask) => Promise<void>): Promise<void> {
    const task: RunningTask = { lease, abort: new AbortController() };
    const ended = new AbortController();
    this.tasks.set(lease.correlationId, task);
    this.onChange();
    const unwatch = this.abortWhenCancelled(task, ended.signal);
    void this.abortAfter(task, deadlineMs, ended.signal);
    try {
      await work(task);
    } finally {
      unwatch();
      ended.abort('over');
      this.tasks.delete(lease.correlationId);
      this.onChange();
    }
  }

  abortOne(correlationId: string, reason: AbortReason): void {
    this.tasks.get(correlationId)?.abort.abort(new RunAborted(reason));
  }

  abortAll(reason: AbortReason): void {
    for (const correlationId of this.tasks.keys()) this.abortOne(correlationId, reason);
  }

  /** Gives `task` its run. One that begins while the worker stops leaves before its first tick. */
  begin(task: RunningTask, run: TaskRun): void {
    task.run = run;
    if (this.leaving) run.leaveAfterTick();
  }

  leaveAfterTick(): void {
    this.leaving = true;
    for (const { run } of this.tasks.values()) run?.leaveAfterTick();
  }

  private abortWhenCancelled(task: RunningTask, ended: AbortSignal): () => void {
    const { correlationId } = task.lease;
    let waiting = false;
    const look = async () => {
      waiting = true;
      await this.clock.sleep(LOOK_EVERY_MS, ended).catch(() => undefined);
      // Before it looks: a change during the look needs another one.
      waiting = false;
      if (!ended.aborted) await this.look(task);
    };
    return this.store.watchEnd(correlationId, () => {
      if (!waiting) void look();
    });
  }

  private async look(task: RunningTask): Promise<void> {
    try {
      const stored = await this.store.find(task.lease.correlationId);
      // A task that the store lost is not over: the run's next write brings it back.
      if (stored !== null && isTerminal(stored.status)) task.abort.abort(new RunAborted('cancelled'));
    } catch {
      // The store is away: the run's next write or the heartbeat tells.
    }
  }

  private async abortAfter(task: RunningTask, ms: number, ended: AbortSignal): Promise<void> {
    try {
      await this.clock.sleep(ms, ended);
      task.abort.abort(new RunAborted('deadline'));
    } catch {
      // It ended in time.
    }
  }
}
