import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { CLOCK, SETTINGS } from '../config/settings.module.js';
import { type Settings } from '../config/settings.js';
import { type Clock } from '../domain/clock.js';
import { CALLBACKS, type Callbacks } from '../ports/callback/callback.port.js';
import { reconcilerFailures } from '../observability/measures.js';
import { QUOTA, type Quota } from '../ports/quota/quota.port.js';
import { TASK_STORE, type TaskStore } from '../ports/task-store/task-store.port.js';
import { WORK_QUEUE, type WorkQueue } from '../ports/work-queue/work-queue.port.js';
import { CallbackReconciler } from './callback-reconciler.js';
import {
  OutboxReconciler,
  type Reconciler,
  ReservationReconciler,
  RetentionReconciler,
  SettlementReconciler,
} from './reconcilers.js';

import { StalledReconciler } from './stalled-reconciler.js';

/** The longest pause after failures, in ms, unless a reconciler looks less often anyway. */
const BACKOFF_MAX_MS = 60_000;

/** Runs the reconcilers from start to shutdown. Any number of gateways may do so at once. */
@Injectable()
export class ReconcilerService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Reconcilers');
  private readonly stopping = new AbortController();
  private readonly reconcilers: readonly Reconciler[];
  private loops: Promise<void>[] = [];

  constructor(
    @Inject(TASK_STORE) store: TaskStore,
    @Inject(WORK_QUEUE) queue: WorkQueue,
    @Inject(QUOTA) quota: Quota,
    @Inject(CALLBACKS) callbacks: Callbacks,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(SETTINGS) settings: Settings,
  ) {
    this.reconcilers = [
      new OutboxReconciler(store, queue),
      new SettlementReconciler(store, quota),
      new StalledReconciler(store, queue),
      new CallbackReconciler(store, callbacks, clock, Math.random),
      new ReservationReconciler(store, quota),
      new RetentionReconciler(store, clock, settings.retentionDays),
    ];
  }

  onApplicationBootstrap(): void {
    this.loops = this.reconcilers.map((reconciler) => this.loop(reconciler));
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    await Promise.all(this.loops);
  }

  private async loop(reconciler: Reconciler): Promise<void> {
    const { signal } = this.stopping;
    let failures = 0;
    while (!signal.aborted) {
      failures = (await this.succeeds(reconciler)) ? 0 : failures + 1;
      const backoff = Math.min(reconciler.everyMs * 2 ** failures, BACKOFF_MAX_MS);
      await this.clock.sleep(Math.max(reconciler.everyMs, backoff), signal).catch(() => undefined);
    }
  }

  private async succeeds(reconciler: Reconciler): Promise<boolean> {
    try {
      await reconciler.tick();
      return true;
    } catch (error) {
      reconcilerFailures.inc({ reconciler: reconciler.name });
      this.logger.warn(
        `${reconciler.name}: tried again later: ${error instanceof Error ? error.message : String(error)}`,
      );
      return false;
    }
  }
}
