import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Registry } from 'prom-client';

/** What one look at the queue and the workers gave; null where the engine cannot tell. */
export interface FleetView {
  readonly queueDepth: number;
  readonly inFlight: number;
  readonly busyWorkers: number;
  readonly oldestTaskAgeSeconds: number | null;
  readonly deadLetters: number;
}

/** The fleet in Prometheus's words. What is not known now has no value there, rather than an old one or a zero. */
@Injectable()
export class FleetGauges {
  private readonly registry = new Registry();
  private readonly views: Record<keyof FleetView, Gauge> = {
    queueDepth: this.gauge('euglena_queue_depth', 'Tasks that wait for a worker.'),
    inFlight: this.gauge('euglena_in_flight', "Tasks in workers' hands."),
    busyWorkers: this.gauge('euglena_busy_workers', 'Workers that run at least one task.'),
    oldestTaskAgeSeconds: this.gauge(
      'euglena_oldest_task_age_seconds',
      'Age of the oldest task that waits; 0 when none does.',
    ),
    deadLetters: this.gauge('euglena_dead_letters', 'Messages in the dead-letter queue.'),
  };
  private readonly failures = new Counter({
    name: 'euglena_metrics_publish_failures_total',
    help: 'Samples of the fleet that could not be taken or published.',
    registers: [this.registry],
  });
  private readonly lastSuccess = this.gauge(
    'euglena_metrics_last_success_timestamp_seconds',
    'Unix time of the last published sample.',
  );

  constructor() {
    this.forget();
    this.lastSuccess.remove();
  }

  show(view: FleetView): void {
    for (const [name, gauge] of Object.entries(this.views)) {
      const value = view[name as keyof FleetView];
      if (value === null) gauge.remove();
      else gauge.set(value);
    }
  }

  /** The queue or the workers cannot be seen: nothing is known of now. */
  forget(): void {
    Object.values(this.views).forEach((gauge) => gauge.remove());
  }

  failed(): void {
    this.failures.inc();
  }

  /** @param at epoch milliseconds */
  published(at: number): void {
    this.lastSuccess.set(at / 1_000);
  }

  /** The Prometheus text format, version 0.0.4. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  private gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.registry] });
  }
}
