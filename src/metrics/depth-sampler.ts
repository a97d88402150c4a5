import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { CLOCK } from '../config/settings.module.js';
import { type Clock } from '../domain/clock.js';
import { EuglenaError } from '../domain/errors.js';
import { type WorkerPresence } from '../domain/presence.js';
import {
  FLEET_METRICS,
  type FleetMetrics,
  type FleetSample,
} from '../ports/fleet-metrics/fleet-metrics.port.js';
import { PRESENCE, type Presence } from '../ports/presence/presence.port.js';
import { WORK_QUEUE, type WorkQueue } from '../ports/work-queue/work-queue.port.js';
import { FleetGauges } from './fleet-gauges.js';

/** How often a sample is taken, in ms. */
export const SAMPLE_INTERVAL_MS = 10_000;

/**
 * Looks at the queue and the workers every 10 s and publishes what it saw, zeros included. What cannot be seen is not
 * published: a missing sample makes the autoscaler hold, a zero would make it shrink the fleet.
 */
@Injectable()
export class DepthSampler implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger('Metrics');
  private readonly stop = new AbortController();
  private loop: Promise<void> | undefined;
  private outage: string | null = null;

  constructor(
    @Inject(WORK_QUEUE) private readonly queue: WorkQueue,
    @Inject(PRESENCE) private readonly presence: Presence,
    @Inject(FLEET_METRICS) private readonly metrics: FleetMetrics,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly gauges: FleetGauges,
  ) {}

  /** Rejects when the last sample was not published. */
  async ping(): Promise<void> {
    if (this.outage !== null) throw new EuglenaError('engine_unavailable', this.outage);
  }

  onApplicationBootstrap(): void {
    this.loop = this.run();
  }

  async onModuleDestroy(): Promise<void> {
    this.stop.abort();
    await this.loop;
  }

  /** Takes and publishes one sample; null when nothing was published. Never rejects. */
  async sample(): Promise<FleetSample | null> {
    const sample = await this.look();
    if (sample === null) return null;
    try {
      await this.metrics.put(sample);
    } catch (error) {
      this.failed('The sample cannot be published.', error);
      return null;
    }
    this.gauges.published(sample.at);
    if (this.outage !== null) this.logger.log('samples are published again');
    this.outage = null;
    return sample;
  }

  private async run(): Promise<void> {
    while (!this.stop.signal.aborted) {
      await this.sample();
      await this.clock.sleep(SAMPLE_INTERVAL_MS, this.stop.signal).catch(() => undefined);
    }
  }

  private async look(): Promise<FleetSample | null> {
    try {
      const [depth, workers] = await Promise.all([this.queue.depth(), this.presence.list()]);
      const sample: FleetSample = {
        at: this.clock.now(),
        queueDepth: depth.ready,
        inFlight: depth.inFlight,
        busyWorkers: workers.filter(isBusy).length,
        oldestTaskAgeSeconds: depth.oldestAgeSeconds,
        deadLetters: depth.dead,
      };
      this.gauges.show({ ...sample, deadLetters: depth.dead });
      return sample;
    } catch (error) {
      this.gauges.forget();
      this.failed('The queue or the workers cannot be read.', error);
      return null;
    }
  }

  /** One log line for each outage, however long it lasts. */
  private failed(what: string, error: unknown): void {
    this.gauges.failed();
    if (this.outage === null) this.logger.error(what, error instanceof Error ? error.stack : error);
    this.outage = what;
  }
}

function isBusy(worker: WorkerPresence): boolean {
  return worker.state === 'working' || worker.running > 0;
}
