/** Time as the program sees it. Tests pass a clock that they turn by hand. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

let lastMs = 0;
let lastText = new Date(lastMs).toISOString();

/** An instant (epoch ms) as ISO 8601 text. The last one is remembered: one change writes the same instant many times. */
export function isoTime(ms: number): string {
  if (ms !== lastMs) {
    lastText = new Date(ms).toISOString();
    lastMs = ms;
  }
  return lastText;
}
