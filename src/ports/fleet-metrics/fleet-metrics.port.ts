export const FLEET_METRICS = Symbol('FleetMetrics');

/** One sample of what waits and what runs. */
export interface FleetSample {
  /** Epoch milliseconds. */
  readonly at: number;
  /** Messages that wait for a worker. */
  readonly queueDepth: number;
  /** Messages in workers' hands. */
  readonly inFlight: number;
  readonly busyWorkers: number;
  /** Of the oldest waiting message; 0 when none waits; null when the queue cannot tell. */
  readonly oldestTaskAgeSeconds: number | null;
  /** Messages in the dead-letter queue. No decision needs it, so it is put for alarms only and not read back. */
  readonly deadLetters?: number;
}

/** Where the metrics role writes and the autoscaler reads. A sample that was never put is missing, not zero. */
export interface FleetMetrics {
  /** Rejects with {@link EuglenaError} `engine_unavailable` when the sample was not taken. */
  put(sample: FleetSample): Promise<void>;
  /** Samples taken at or after `since` (epoch ms), oldest first; of more than 1,000 the newest 1,000. */
  read(since: number): Promise<readonly FleetSample[]>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
