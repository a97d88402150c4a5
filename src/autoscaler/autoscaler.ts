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
import { FLEET_METRICS, type FleetMetrics } from '../ports/fleet-metrics/fleet-metrics.port.js';
import { FLEET, type Fleet } from '../ports/fleet/fleet.port.js';
import { DecisionMaker } from './decision-maker.js';
import { type Decision } from './decision.js';

/** When the first decision is made after the start, in ms: late enough for a first sample of the metrics role. */
export const FIRST_DECISION_AFTER_MS = 15_000;
const DECISIONS_KEPT = 500;

/**
 * Decides every `AUTOSCALER_INTERVAL_SECONDS` how many agents run, and keeps its decisions. With an agent in the same
 * process, as in role `all`, it only records what it would do.
 */
@Injectable()
export class Autoscaler implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly stop = new AbortController();
  private readonly kept: Decision[] = [];
  private readonly maker: DecisionMaker;
  private loop: Promise<void> | undefined;

  constructor(
    @Inject(FLEET_METRICS) metrics: FleetMetrics,
    @Inject(FLEET) fleet: Fleet,
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.maker = new DecisionMaker({
      metrics,
      fleet,
      clock,
      scaling: settings.scaling,
      dryRun: settings.autoscaler.dryRun,
      log: new Logger('Autoscaler'),
    });
  }

  /** The last 500 decisions, newest first. */
  get decisions(): readonly Decision[] {
    return this.kept;
  }

  /** Rejects when the last decision could not be made from what is seen, or not be told. */
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
    const decision = await this.maker.decide();
    this.kept.unshift(decision);
    this.kept.length = Math.min(this.kept.length, DECISIONS_KEPT);
    return decision;
  }

  private async run(): Promise<void> {
    let waitMs = Math.min(FIRST_DECISION_AFTER_MS, this.settings.autoscaler.intervalMs);
    while (!this.stop.signal.aborted) {
      await this.clock.sleep(waitMs, this.stop.signal).catch(() => undefined);
      if (!this.stop.signal.aborted) await this.decide();
      waitMs = this.settings.autoscaler.intervalMs;
    }
  }
}
