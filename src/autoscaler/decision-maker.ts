import { type Clock } from '../domain/clock.js';
import {
  desiredWorkers,
  explain,
  lookBackMs,
  type ScalingSample,
  type ScalingSettings,
  type Wish,
} from '../domain/scaling.js';
import { type FleetMetrics } from '../ports/fleet-metrics/fleet-metrics.port.js';
import { type Fleet, type FleetState } from '../ports/fleet/fleet.port.js';
import { type Decision, type DecisionOutcome } from './decision.js';

/** Where a decision maker says what it did. Nest's logger is one. */
export interface DecisionLog {
  log(message: string): void;
  /** @param cause for whoever runs this; it may hold a vendor's words */
  error(message: string, cause?: unknown): void;
}

export interface DecisionMakerOptions {
  readonly metrics: FleetMetrics;
  readonly fleet: Fleet;
  readonly scaling: ScalingSettings;
  readonly clock: Clock;
  readonly log: DecisionLog;
  /** Decides, and tells the fleet nothing. */
  readonly dryRun: boolean;
}

interface Problem {
  readonly what: string;
  readonly cause?: unknown;
}

const HOLDING_RULES: readonly string[] = ['no_data', 'stale_data', 'unusable_data'];

/**
 * Reads the figures and the fleet, decides how many agents there should be, and tells the fleet when that is another count.
 * Trouble of any kind leaves the count as it is. Knows nothing of Nest: an AWS Lambda function runs it as well.
 */
export class DecisionMaker {
  private history: readonly Wish[] = [];
  private trouble: string | null = null;

  constructor(private readonly options: DecisionMakerOptions) {}

  /** Makes and applies one decision. Never rejects. */
  async decide(): Promise<Decision> {
    const { decision, problem } = await this.make();
    this.report(decision, problem);
    return { ...decision, reason: problem?.what ?? null };
  }

  private async make(): Promise<{ decision: Decision; problem: Problem | null }> {
    const { clock, fleet, metrics, scaling } = this.options;
    const at = clock.now();
    let state: FleetState;
    let samples: readonly ScalingSample[] = [];
    let problem: Problem | null = null;
    try {
      state = await fleet.state();
    } catch (cause) {
      return { decision: undecided(at), problem: { what: 'The fleet cannot be asked.', cause } };
    }
    try {
      samples = await metrics.read(at - lookBackMs(scaling));
    } catch (cause) {
      // Metrics that cannot be read are like none: the decision is to hold.
      problem = { what: 'The metrics cannot be read.', cause };
    }
    const { desired: current, pending } = state;
    const { history, ...made } = desiredWorkers(
      { now: at, current, pending, samples },
      scaling,
      this.history,
    );
    this.history = history;
    if (HOLDING_RULES.includes(made.rule)) problem ??= { what: explain(made.rule) };
    const applied = await this.apply(current, made.desired);
    return {
      decision: { at, current, ...made, outcome: applied.outcome, reason: null },
      problem: applied.problem ?? problem,
    };
  }

  private async apply(
    current: number,
    desired: number,
  ): Promise<{ outcome: DecisionOutcome; problem: Problem | null }> {
    if (desired === current) return { outcome: 'held', problem: null };
    if (this.options.dryRun) return { outcome: 'dry_run', problem: null };
    try {
      await this.options.fleet.setDesired(desired);
      return { outcome: 'applied', problem: null };
    } catch (cause) {
      return { outcome: 'failed', problem: { what: 'The fleet did not take the new count.', cause } };
    }
  }

  /** One line for each change of the count, one when a trouble begins or becomes another, one when it is over. */
  private report({ current, desired, rule, outcome }: Decision, problem: Problem | null): void {
    const { log } = this.options;
    if (problem === null && this.trouble !== null) log.log('decisions are made from what is seen again');
    if (problem !== null && problem.what !== this.trouble) {
      log.error(`${problem.what} The count of agents does not fall until that is over.`, problem.cause);
    }
    this.trouble = problem?.what ?? null;
    if (outcome === 'applied' && rule !== null) {
      log.log(`agents ${current ?? '?'} → ${desired ?? '?'}: ${explain(rule)}`);
    }
  }
}

function undecided(at: number): Decision {
  return { at, current: null, desired: null, rule: null, inputs: null, outcome: 'failed', reason: null };
}
