import { Inject, Injectable, Logger, ServiceUnavailableException } from '@nestjs/common';
import { type HealthCheckResult, HealthCheckService, HealthIndicatorService } from '@nestjs/terminus';

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

/** How long a component has to answer, in ms. */
const PING_TIMEOUT_MS = 2_000;
/** How long an answer is good, in ms: probes, however many, do not become load. */
const REMEMBER_MS = 1_000;

/** Asks every component, all at once, and says which of them answer. Why one does not is for the log only. */
@Injectable()
export class HealthService {
  private readonly logger = new Logger('Health');
  private readonly down = new Set<string>();
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
    const { details } = await this.ask();
    const components: Record<string, { status: 'up' | 'down' }> = {};
    for (const { name } of this.checks) {
      const up = details[name]?.status === 'up';
      components[name] = { status: up ? 'up' : 'down' };
      this.note(name, up, details[name]?.message);
    }
    if (this.draining) return { status: 'draining', components };
    return { status: this.down.size === 0 ? 'ok' : 'error', components };
  }

  private async ask(): Promise<HealthCheckResult> {
    try {
      return await this.health.check(
        this.checks.map(
          (check) => () =>
            this.indicators
              .check(check.name)
              .attempt(() => check.ping())
              .withTimeout(PING_TIMEOUT_MS)
              .cacheFor(REMEMBER_MS),
        ),
      );
    } catch (error) {
      if (error instanceof ServiceUnavailableException) return error.getResponse() as HealthCheckResult;
      throw error;
    }
  }

  /** One line when a component goes, one when it comes back. */
  private note(name: string, up: boolean, reason: unknown): void {
    if (up && this.down.delete(name)) this.logger.log(`${name} is back`);
    if (up || this.down.has(name)) return;
    this.down.add(name);
    this.logger.warn(`${name} is down: ${typeof reason === 'string' ? reason : 'no reason given'}`);
  }
}
