import { describe, expect, it } from '@jest/globals';
import { estimatedWait, meanSeconds } from './forecast.js';
import { type WorkerPresence } from './presence.js';
import { submission } from './task-change.js';
import { type TaskRecord } from './task.js';

const { record } = submission({ correlationId: 't', owner: 'alice', mandate: 'm', maxTicks: 5 }, 0, false);
const ran = (seconds: number): TaskRecord => ({
  ...record,
  status: 'completed',
  startedAt: 5_000,
  finishedAt: 5_000 + seconds * 1_000,
});

describe('meanSeconds', () => {
  it('is not known without a task that ran', () => {
    const never = { ...record, status: 'error' as const, finishedAt: 9_000 };
    expect(meanSeconds([])).toBeNull();
    expect(meanSeconds([never, record])).toBeNull();
  });

  it('leans towards the newest tasks', () => {
    expect(meanSeconds([ran(10)])).toBe(10);
    expect(meanSeconds([ran(20), ran(10)])).toBeCloseTo(13);
    expect(meanSeconds([ran(20), ran(20), ran(20), ran(10)])).toBeGreaterThan(16);
  });

  it('leaves out tasks that were extended: their time holds a pause', () => {
    expect(meanSeconds([{ ...ran(86_400), reservation: 't:1' }, ran(10)])).toBe(10);
  });
});

const worker = (running: number, capacity: number, state: WorkerPresence['state'] = 'working') =>
  ({ workerId: 'w', state, running, capacity, pid: 1, startedAt: 0 }) satisfies WorkerPresence;

describe('estimatedWait', () => {
  it('is nothing while there is room for all that wait', () => {
    expect(estimatedWait(0, [worker(0, 1, 'free')], null)).toBe(0);
    expect(estimatedWait(3, [worker(1, 4), worker(3, 4)], 60)).toBe(0);
  });

  it('grows by the time of a task with each round that waits', () => {
    expect(estimatedWait(0, [worker(2, 2)], 60)).toBe(30);
    expect(estimatedWait(3, [worker(2, 2)], 60)).toBe(120);
    expect(estimatedWait(3, [worker(2, 2), worker(2, 2)], 60)).toBe(60);
  });

  it('is not known without a worker that takes tasks, or when nobody knows how long one takes', () => {
    expect(estimatedWait(0, [], 60)).toBeNull();
    expect(estimatedWait(0, [worker(0, 4, 'draining')], 60)).toBeNull();
    expect(estimatedWait(0, [worker(1, 1)], null)).toBeNull();
  });
});
