import { type Clock } from '../domain/clock.js';

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  // Not the timers' own promise: it makes an error, with a stack, for each sleep that is cut short, as most are.
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal === undefined) {
        setTimeout(resolve, ms);
        return;
      }
      const wake = () => {
        clearTimeout(timer);
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- whoever aborts chooses the reason
        reject(signal.reason);
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', wake);
        resolve();
      }, ms);
      if (signal.aborted) wake();
      else signal.addEventListener('abort', wake, { once: true });
    }),
};
