import { Inject, Injectable, Logger, ServiceUnavailableException } from '@nestjs/common';
import { type HealthCheckResult, HealthCheckService, HealthIndicatorService } from '@nestjs/terminus';
import { EngineRefusal } from '../domain/errors.js';

/** One component that a role cannot do without. */
export interface HealthCheck {
  readonly name: string;
  /** Rejects when the component cannot serve. */
  ping(): Promise<void>;
}

/** `readonly HealthCheck[]`: what this process depends on. Given by the boot code. */
export const HEALTH_CHECKS = Symbol('HealthChecks');

export interface HealthReport {
  readonly status: 'ok' | 'error' | 'draining';
  readonly components: Readonly<Record<string, { readonly status: 'up' | 'down' }>>;
}

/** A component that is down, and why: for the log and the terminal of whoever runs this, not for the API. */
export interface Problem {
  readonly component: string;
  readonly reason: string;
  /** Its engine answers that it will not serve: waiting does not help. */
  readonly refused: boolean;
}

/** How long a component has to answer, in ms: longer than an adapter's own patience, as the adapter knows what is wrong. */
const PING_TIMEOUT_MS = 3_500;
/** How long an answer is good, in ms: probes, however many, do not become load. */
const REMEMBER_MS = 1_000;

/** Asks every component, all at once, and says which of them answer. */
@Injectable()
export class HealthService {
  private readonly logger = new Logger('Health');
  private readonly down = new Set<string>();
  private readonly refused = new Set<string>();
  private draining = false;

  constructor(
    @Inject(HEALTH_CHECKS) private readonly checks: readonly HealthCheck[],
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
  ) {}

  /** From now on the process is not ready: whoever balances load sends no more of it here. */
  markDraining(): void {
    this.draining = true;
  }

  async report(): Promise<HealthReport> {
    const problems = await this.problems();
    const isDown = new Set(problems.map(({ component }) => component));
    const components: Record<string, { status: 'up' | 'down' }> = {};
    for (const { name } of this.checks) components[name] = { status: isDown.has(name) ? 'down' : 'up' };
    if (this.draining) return { status: 'draining', components };
    return { status: problems.length === 0 ? 'ok' : 'error', components };
  }

  /** The components that are down. */
  async problems(): Promise<readonly Problem[]> {
    const { details } = await this.ask();
    return this.checks.flatMap(({ name }) => {
      const detail = details[name];
      const up = detail?.status === 'up';
      const reason = typeof detail?.message === 'string' ? detail.message : 'no reason given';
      this.note(name, up, reason);
      return up ? [] : [{ component: name, reason, refused: this.refused.has(name) }];
    });
  }

  private async ask(): Promise<HealthCheckResult> {
    try {
      return await this.health.check(
        this.checks.map(
          (check) => () =>
            this.indicators
              .check(check.name)
              .attempt(() => this.ping(check))
              .withTimeout(PING_TIMEOUT_MS)
              .cacheFor(REMEMBER_MS),
        ),
      );
    } catch (error) {
      if (error instanceof ServiceUnavailableException) return error.getResponse() as HealthCheckResult;
      throw error;
    }
  }

  private async ping(check: HealthCheck): Promise<void> {
    this.refused.delete(check.name);
    try {
      await check.ping();
    } catch (error) {
      if (error instanceof EngineRefusal) this.refused.add(check.name);
      throw error;
    }
  }

  /** One line when a component goes, one when it comes back. */
  private note(name: string, up: boolean, reason: string): void {
    if (up && this.down.delete(name)) this.logger.log(`${name} is back`);
    if (up || this.down.has(name)) return;
    this.down.add(name);
    this.logger.warn(`${name} is down: ${reason}`);
  }
}
