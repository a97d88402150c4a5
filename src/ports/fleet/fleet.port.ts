export const FLEET = Symbol('Fleet');

export interface FleetState {
  /** Workers that are wanted. */
  readonly desired: number;
  /** Workers that run, draining ones included. */
  readonly running: number;
  /** Workers that start. */
  readonly pending: number;
}

/** The agents as a group whose size can be set. */
export interface Fleet {
  state(): Promise<FleetState>;
  /** Sets a count, adds nothing: doing it twice is doing it once. */
  setDesired(count: number): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
