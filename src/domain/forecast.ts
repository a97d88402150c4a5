import { type WorkerPresence } from './presence.js';
import { type TaskRecord } from './task.js';

/** What the newest task counts in the mean; those before it count ever less. */
const NEWEST_WEIGHT = 0.3;

/** Exponentially weighted mean of how long tasks ran, of those given newest first; null without any. */
export function meanSeconds(tasks: readonly TaskRecord[]): number | null {
  let mean: number | null = null;
  for (const { startedAt, finishedAt, correlationId, reservation } of tasks.toReversed()) {
    // An extended task also counts the time between its runs.
    if (startedAt === null || finishedAt === null || reservation !== correlationId) continue;
    const seconds = (finishedAt - startedAt) / 1_000;
    mean = mean === null ? seconds : mean + NEWEST_WEIGHT * (seconds - mean);
  }
  return mean;
}

/**
 * Whole seconds until a worker takes a task that `ahead` others precede: 0 when there is room for all of them, else one
 * more task's time for each round in which every worker is full. Null when no worker lives, or nobody knows how long a
 * task takes.
 */
export function estimatedWait(
  ahead: number,
  workers: readonly WorkerPresence[],
  secondsPerTask: number | null,
): number | null {
  const taking = workers.filter(({ state }) => state !== 'draining');
  const room = taking.reduce((sum, { capacity }) => sum + capacity, 0);
  const running = taking.reduce((sum, { running: tasks }) => sum + tasks, 0);
  if (room === 0) return null;
  const behind = ahead + 1 - Math.max(0, room - running);
  if (behind <= 0) return 0;
  return secondsPerTask === null ? null : Math.ceil((behind / room) * secondsPerTask);
}
