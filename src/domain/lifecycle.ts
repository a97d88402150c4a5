import { EuglenaError } from './errors.js';
import { type TaskStatus } from './task.js';

/** What can happen to a task. `accept`: a worker took it. `begin`: its first tick is decided. `release`: handed back. */
export const TASK_EVENTS = ['accept', 'begin', 'release', 'complete', 'fail', 'cancel', 'extend'] as const;
export type TaskEvent = (typeof TASK_EVENTS)[number];

/** The whole life of a task. What is not listed is refused. */
const TRANSITIONS: Record<TaskStatus, Partial<Record<TaskEvent, TaskStatus>>> = {
  pending: { accept: 'accepted', fail: 'error', cancel: 'cancelled' },
  accepted: {
    accept: 'accepted',
    begin: 'in_progress',
    release: 'pending',
    complete: 'completed',
    fail: 'error',
    cancel: 'cancelled',
  },
  in_progress: {
    accept: 'in_progress',
    begin: 'in_progress',
    release: 'pending',
    complete: 'completed',
    fail: 'error',
    cancel: 'cancelled',
  },
  completed: { extend: 'pending' },
  error: { extend: 'pending' },
  cancelled: {},
};

/** The status after `event`, or null when `event` cannot happen in `status`. */
export function nextStatus(status: TaskStatus, event: TaskEvent): TaskStatus | null {
  return TRANSITIONS[status][event] ?? null;
}

/** Like {@link nextStatus}, for callers to whom a refusal is an error of code `conflict`. */
export function transition(status: TaskStatus, event: TaskEvent): TaskStatus {
  const next = nextStatus(status, event);
  if (next === null) throw new EuglenaError('conflict', `A task that is ${status} cannot ${event}.`);
  return next;
}

const TERMINAL: Record<TaskStatus, boolean> = {
  pending: false,
  accepted: false,
  in_progress: false,
  completed: true,
  error: true,
  cancelled: true,
};

/** Whether nothing more happens to the task unless its owner extends it. */
export function isTerminal(status: TaskStatus): boolean {
  return TERMINAL[status];
}
