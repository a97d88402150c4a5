import { type TaskProtection } from './task-protection.port.js';

/** For hosts that never end a worker by themselves: protection is always given, because nothing threatens. */
export class NoTaskProtection implements TaskProtection {
  async protect(_minutes: number): Promise<boolean> {
    return true;
  }

  async unprotect(): Promise<void> {
    // Nothing was asked of the platform.
  }

  async close(): Promise<void> {
    // There is nothing to close.
  }
}
