export const FLEET = Symbol('Fleet');

export interface FleetState {
  /** Workers that are wanted. */
  readonly desired: number;
  /** Workers that run, draining ones included. */
  readonly running: number;
  /** Workers that start, or wait to be started again after they died. */
  readonly pending: number;
}

/** The agents as a group whose size can be set. */
export interface Fleet {
  state(): Promise<FleetState>;
  /**
   * Sets a count, adds nothing: doing it twice is doing it once. Resolves when the change is under way; workers that are
   * too many drain. Rejects with a RangeError for anything but a whole number from 0 up, and with {@link EuglenaError}
   * `engine_unavailable` when nothing was changed.
   */
  setDesired(count: number): Promise<void>;
  /** Rejects when the fleet cannot keep its workers running. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
