import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { CLOCK, SETTINGS } from '../config/settings.module.js';
import { type Settings } from '../config/settings.js';
import { type Clock } from '../domain/clock.js';
import { EuglenaError } from '../domain/errors.js';
import {
  desiredWorkers,
  explain,
  SCALING_WINDOW_MS,
  type ScalingSample,
  type Wish,
} from '../domain/scaling.js';
import { FLEET_METRICS, type FleetMetrics } from '../ports/fleet-metrics/fleet-metrics.port.js';
import { FLEET, type Fleet } from '../ports/fleet/fleet.port.js';
import { type Decision, type DecisionOutcome } from './decision.js';

/** How often a decision is made, in ms. */
export const DECISION_INTERVAL_MS = 120_000;
/** When the first one is made after the start, in ms: late enough for a first sample of the metrics role. */
export const FIRST_DECISION_AFTER_MS = 15_000;
const DECISIONS_KEPT = 500;

/**
 * Decides every 2 minutes how many agents run, and tells the fleet when the count changes. In role `all` it only records
 * what it would do: the agent of that role runs in the same process.
 */
@Injectable()
export class Autoscaler implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger('Autoscaler');
  private readonly stop = new AbortController();
  private readonly kept: Decision[] = [];
  private readonly dryRun: boolean;
  private history: readonly Wish[] = [];
  private loop: Promise<void> | undefined;

  constructor(
    @Inject(FLEET_METRICS) private readonly metrics: FleetMetrics,
    @Inject(FLEET) private readonly fleet: Fleet,
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.dryRun = settings.role === 'all';
  }

  /** The last 500 decisions, newest first. */
  get decisions(): readonly Decision[] {
    return this.kept;
  }

  /** Rejects when the last decision could not be made or told. */
  async ping(): Promise<void> {
    const reason = this.kept[0]?.reason ?? null;
    if (reason !== null) throw new EuglenaError('engine_unavailable', reason);
  }

  onApplicationBootstrap(): void {
    this.loop = this.run();
  }

  async onModuleDestroy(): Promise<void> {
    this.stop.abort();
    await this.loop;
  }

  /** Makes, applies and keeps one decision. Never rejects. */
  async decide(): Promise<Decision> {
    const decision = await this.make();
    this.kept.unshift(decision);
    this.kept.length = Math.min(this.kept.length, DECISIONS_KEPT);
    this.report(decision);
    return decision;
  }

  private async run(): Promise<void> {
    let waitMs = FIRST_DECISION_AFTER_MS;
    while (!this.stop.signal.aborted) {
      await this.clock.sleep(waitMs, this.stop.signal).catch(() => undefined);
      if (!this.stop.signal.aborted) await this.decide();
      waitMs = DECISION_INTERVAL_MS;
    }
  }

  private async make(): Promise<Decision> {
    const at = this.clock.now();
    const undecided = { at, current: null, desired: null, rule: null, inputs: null };
    let current: number;
    try {
      current = (await this.fleet.state()).desired;
    } catch (error) {
      return {
        ...undecided,
        outcome: 'failed',
        reason: this.problemWith('The fleet cannot be asked.', error),
      };
    }
    const { samples, problem } = await this.read(at);
    const { desired, rule, inputs, history } = desiredWorkers(
      { now: at, current, samples },
      this.settings.scaling,
      this.history,
    );
    this.history = history;
    const { outcome, reason } = await this.apply(current, desired);
    return { at, current, desired, rule, inputs, outcome, reason: reason ?? problem };
  }

  /** Metrics that cannot be read are like none: the decision is to hold. */
  private async read(at: number): Promise<{ samples: readonly ScalingSample[]; problem: string | null }> {
    try {
      return { samples: await this.metrics.read(at - SCALING_WINDOW_MS), problem: null };
    } catch (error) {
      return { samples: [], problem: this.problemWith('The metrics cannot be read.', error) };
    }
  }

  private async apply(
    current: number,
    desired: number,
  ): Promise<{ outcome: DecisionOutcome; reason: string | null }> {
    if (desired === current) return { outcome: 'held', reason: null };
    if (this.dryRun) return { outcome: 'dry_run', reason: null };
    try {
      await this.fleet.setDesired(desired);
      return { outcome: 'applied', reason: null };
    } catch (error) {
      return { outcome: 'failed', reason: this.problemWith('The fleet did not take the new count.', error) };
    }
  }

  private report({ current, desired, rule, outcome }: Decision): void {
    if (outcome !== 'applied' || rule === null) return;
    this.logger.log(`agents ${current ?? '?'} → ${desired ?? '?'}: ${explain(rule)}`);
  }

  /** The cause goes to the log only: the decisions are shown to anybody who asks. */
  private problemWith(what: string, cause: unknown): string {
    this.logger.error(what, cause instanceof Error ? cause.stack : cause);
    return what;
  }
}
