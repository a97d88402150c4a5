import { type Clock } from '../domain/clock.js';

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  // Not the timers' own promise: it makes an error, with a stack, for each sleep that is cut short, as most are.
  sleep: async (ms, signal) => {
    signal?.throwIfAborted();
    await new Promise<void>((wake) => {
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', end);
        wake();
      };
      const timer = setTimeout(end, ms);
      signal?.addEventListener('abort', end);
    });
    signal?.throwIfAborted();
  },
};
