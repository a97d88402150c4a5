import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isTerminal, nextStatus, TASK_EVENTS, type TaskEvent, transition } from './lifecycle.js';
import { TASK_STATUSES, type TaskStatus } from './task.js';

/** Every pair, written out once more; `-` is a refusal. */
const EXPECTED: Record<TaskStatus, Record<TaskEvent, TaskStatus | '-'>> = {
  pending: {
    accept: 'accepted',
    begin: '-',
    release: '-',
    complete: '-',
    fail: 'error',
    cancel: 'cancelled',
    extend: '-',
  },
  accepted: {
    accept: 'accepted',
    begin: 'in_progress',
    release: 'pending',
    complete: 'completed',
    fail: 'error',
    cancel: 'cancelled',
    extend: '-',
  },
  in_progress: {
    accept: 'in_progress',
    begin: 'in_progress',
    release: 'pending',
    complete: 'completed',
    fail: 'error',
    cancel: 'cancelled',
    extend: '-',
  },
  completed: {
    accept: '-',
    begin: '-',
    release: '-',
    complete: '-',
    fail: '-',
    cancel: '-',
    extend: 'pending',
  },
  error: { accept: '-', begin: '-', release: '-', complete: '-', fail: '-', cancel: '-', extend: 'pending' },
  cancelled: { accept: '-', begin: '-', release: '-', complete: '-', fail: '-', cancel: '-', extend: '-' },
};
const PAIRS = TASK_STATUSES.flatMap((status) => TASK_EVENTS.map((event) => ({ status, event })));

describe('the life of a task', () => {
  it.each(PAIRS)('$status + $event', ({ status, event }) => {
    const expected = EXPECTED[status][event];
    if (expected === '-') {
      expect(nextStatus(status, event)).toBeNull();
      expect(() => transition(status, event)).toThrow(`A task that is ${status} cannot ${event}.`);
      expect(() => transition(status, event)).toThrow(expect.objectContaining({ code: 'conflict' }));
    } else {
      expect(nextStatus(status, event)).toBe(expected);
      expect(transition(status, event)).toBe(expected);
    }
  });

  it('leaves a terminal status by an extension only, and leads to each of them', () => {
    expect(TASK_STATUSES.filter(isTerminal)).toEqual(['completed', 'error', 'cancelled']);
    for (const { status, event } of PAIRS) {
      if (isTerminal(status) && event !== 'extend') expect(nextStatus(status, event)).toBeNull();
      if (!isTerminal(status) && event === 'extend') expect(nextStatus(status, event)).toBeNull();
    }
    for (const status of TASK_STATUSES.filter((known) => !isTerminal(known))) {
      expect([nextStatus(status, 'fail'), nextStatus(status, 'cancel')]).toEqual(['error', 'cancelled']);
    }
  });

  it('completes only what a worker accepted, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...TASK_EVENTS)), (events) => {
        let status: TaskStatus = 'pending';
        let held = false;
        for (const event of events) {
          const next = nextStatus(status, event);
          if (next === null) continue;
          if (next === 'completed') expect(held).toBe(true);
          if (event === 'accept') held = true;
          if (event === 'release' || event === 'extend') held = false;
          status = next;
          expect(status === 'accepted' || status === 'in_progress').toBe(held && !isTerminal(status));
        }
      }),
    );
  });
});
