import { Logger } from '@nestjs/common';
import { type Clock } from '../domain/clock.js';
import { EuglenaError } from '../domain/errors.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5_000;

/** Tells an outage of the task store from a message's own failure, and waits until it is over. */
export class StoreOutage {
  private readonly logger = new Logger('Worker');
  private lasts = false;

  constructor(
    private readonly store: TaskStore,
    private readonly clock: Clock,
    /** Ends all waiting. */
    private readonly leaving: AbortSignal,
  ) {}

  /** Whether `error` came of an outage: then the store does not answer now either, or takes no writes. */
  async explains(error: unknown): Promise<boolean> {
    if (!(error instanceof EuglenaError) || error.code !== 'engine_unavailable') return false;
    return !(await this.storeServes());
  }

  /** Asks the store, ever less often: true when it serves again, false when `limitMs` are over or the worker leaves. */
  async isOverWithin(limitMs: number): Promise<boolean> {
    const end = this.clock.now() + limitMs;
    for (
      let wait = FIRST_WAIT_MS;
      this.clock.now() + wait <= end;
      wait = Math.min(wait * 2, LONGEST_WAIT_MS)
    ) {
      try {
        await this.clock.sleep(wait, this.leaving);
      } catch {
        return false;
      }
      if (await this.storeServes()) return true;
    }
    return false;
  }

  private async storeServes(): Promise<boolean> {
    try {
      await this.store.ping();
      if (this.lasts) this.logger.log('The task store serves again; work goes on.');
      this.lasts = false;
      return true;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.lasts) this.logger.warn(`No work until the task store serves again: ${reason}`);
      this.lasts = true;
      return false;
    }
  }
}
