import { type Clock } from '../../src/domain/clock.js';

interface Sleeper {
  readonly until: number;
  wake(): void;
}

/** A clock that stands still until the test turns it. */
export class ManualClock implements Clock {
  private sleepers: Sleeper[] = [];

  constructor(private time = Date.UTC(2026, 0, 15, 12)) {}

  now(): number {
    return this.time;
  }

  /** Turns time forward and wakes every sleep that ends by then. */
  advance(ms: number): void {
    this.time += ms;
    const due = this.sleepers.filter((sleeper) => sleeper.until <= this.time);
    this.sleepers = this.sleepers.filter((sleeper) => sleeper.until > this.time);
    due.forEach((sleeper) => sleeper.wake());
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const sleeper = { until: this.time + ms, wake: resolve };
      this.sleepers.push(sleeper);
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }
}
