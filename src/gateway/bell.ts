import { type Clock } from '../domain/clock.js';

/** Wakes those who wait for something to happen. Rings are counted, so that none is lost between a look and a wait. */
export class Bell {
  private readonly waiting = new Set<() => void>();
  private rung = 0;

  /** How often it rang so far. */
  get count(): number {
    return this.rung;
  }

  ring(): void {
    this.rung += 1;
    for (const wake of [...this.waiting]) wake();
  }

  /** True as soon as it rang more often than `heard`; false once `ms` have passed or the signal aborted. */
  async wait(heard: number, ms: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
    if (this.rung !== heard || signal.aborted) return this.rung !== heard;
    const enough = new AbortController();
    const wake = () => enough.abort();
    this.waiting.add(wake);
    signal.addEventListener('abort', wake, { once: true });
    try {
      await clock.sleep(ms, enough.signal);
    } catch {
      // Woken before the time was up.
    } finally {
      this.waiting.delete(wake);
      signal.removeEventListener('abort', wake);
    }
    return this.rung !== heard;
  }
}
