import { getEventListeners } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { systemClock } from './system-clock.js';

const HOUR_MS = 3_600_000;

describe('the system clock', () => {
  it('sleeps, and leaves no listener behind', async () => {
    const { signal } = new AbortController();
    const since = performance.now();
    await systemClock.sleep(20, signal);
    // Timers round to whole milliseconds.
    expect(performance.now() - since).toBeGreaterThanOrEqual(19);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('is woken with the reason of whoever aborts, before or meanwhile', async () => {
    const reason = new Error('enough');
    await expect(systemClock.sleep(HOUR_MS, AbortSignal.abort(reason))).rejects.toBe(reason);
    const waker = new AbortController();
    const sleeping = systemClock.sleep(HOUR_MS, waker.signal);
    waker.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    expect(getEventListeners(waker.signal, 'abort')).toEqual([]);
  });
});
