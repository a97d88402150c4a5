export const FLEET_METRICS = Symbol('FleetMetrics');

/** One sample of what waits and what runs. */
export interface FleetSample {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly queueDepth: number;
  readonly inFlight: number;
  readonly busyWorkers: number;
  readonly oldestTaskAgeSeconds: number;
}

/** Where the metrics role writes and the autoscaler reads. */
export interface FleetMetrics {
  put(sample: FleetSample): Promise<void>;
  /** Samples taken at or after `since` (epoch ms), oldest first, at most 1,000. */
  read(since: number): Promise<readonly FleetSample[]>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
