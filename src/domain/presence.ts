/** `free`: waits for work. `working`: runs at least one task. `draining`: finishes what it has and takes nothing more. */
export const WORKER_STATES = ['free', 'working', 'draining'] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

/** What a worker says of itself with each heartbeat. */
export interface WorkerPresence {
  readonly workerId: string;
  readonly state: WorkerState;
  /** Tasks it runs now. */
  readonly running: number;
  /** Tasks it can run at once. */
  readonly capacity: number;
  /** Operating-system process id, which lets a local fleet match workers to its children. */
  readonly pid: number;
  /** Epoch milliseconds. */
  readonly startedAt: number;
}
