export const TASK_PROTECTION = Symbol('TaskProtection');

/** Keeps the platform from ending this worker while it works. */
export interface TaskProtection {
  /** From now for `minutes`. Resolves false when protection could not be had: take no work then. */
  protect(minutes: number): Promise<boolean>;
  unprotect(): Promise<void>;
  close(): Promise<void>;
}
