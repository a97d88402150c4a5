import { explain, type ScalingInputs, type ScalingRule } from '../domain/scaling.js';

/**
 * What became of a decision. `applied`: the fleet was told a new count. `held`: the count stays. `dry_run`: a new count
 * was decided and, by setting, not told. `failed`: the fleet could not be asked or told; the count stays.
 */
export type DecisionOutcome = 'applied' | 'held' | 'dry_run' | 'failed';

export interface Decision {
  /** Epoch milliseconds. */
  readonly at: number;
  /** The count that was wanted before; null when the fleet could not be asked. */
  readonly current: number | null;
  /** The count that is wanted; null when none could be decided. */
  readonly desired: number | null;
  /** Null when none could be decided. */
  readonly rule: ScalingRule | null;
  readonly inputs: ScalingInputs | null;
  readonly outcome: DecisionOutcome;
  /** What went wrong, safe to show; null when nothing did. */
  readonly reason: string | null;
}

export function decisionToJson(decision: Decision) {
  const { inputs } = decision;
  return {
    at: new Date(decision.at).toISOString(),
    current: decision.current,
    desired: decision.desired,
    outcome: decision.outcome,
    rule: decision.rule,
    explanation: decision.rule === null ? null : explain(decision.rule),
    reason: decision.reason,
    inputs: inputs && {
      ready: inputs.ready,
      in_flight: inputs.inFlight,
      busy_workers: inputs.busyWorkers,
      pending: inputs.pending,
      data_age_seconds: inputs.dataAgeSeconds,
      mean_queue_depth: inputs.meanQueueDepth,
      recent_peak: inputs.recentPeak,
      target_messages_per_worker: inputs.targetMessagesPerWorker,
      min_workers: inputs.minWorkers,
      max_workers: inputs.maxWorkers,
    },
  };
}
