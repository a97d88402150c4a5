import { Inject, Injectable } from '@nestjs/common';
import { SETTINGS } from '../config/settings.module.js';
import { type Settings } from '../config/settings.js';
import { type ErrorCode } from '../domain/errors.js';
import { estimatedWait, meanSeconds } from '../domain/forecast.js';
import { type QuotaUsage } from '../domain/quota.js';
import { PRESENCE, type Presence } from '../ports/presence/presence.port.js';
import { QUOTA, type Quota } from '../ports/quota/quota.port.js';
import { TASK_STORE, type TaskStore } from '../ports/task-store/task-store.port.js';
import { WORK_QUEUE, type WorkQueue } from '../ports/work-queue/work-queue.port.js';
import { quotaToApi } from './quota-usage.js';

/** How many of the user's newest ended tasks tell how long a task takes. */
const SAMPLE = 20;

/** Says what would become of a submission now, and stores, queues and reserves nothing. */
@Injectable()
export class ForecastService {
  constructor(
    @Inject(TASK_STORE) private readonly store: TaskStore,
    @Inject(WORK_QUEUE) private readonly queue: WorkQueue,
    @Inject(QUOTA) private readonly quota: Quota,
    @Inject(PRESENCE) private readonly presence: Presence,
    @Inject(SETTINGS) private readonly settings: Settings,
  ) {}

  /** A forecast as the API shows it. The limits hold again, anew, for the submission itself. */
  async forecast(owner: string, maxTicks: number) {
    const [depth, workers, usage, active, ended] = await Promise.all([
      this.queue.depth(),
      this.presence.list(),
      this.quota.usage(owner),
      this.store.active(owner),
      this.store.list(owner, { limit: SAMPLE, statuses: ['completed', 'error'] }),
    ]);
    const refusal = this.refusal(usage, active, maxTicks);
    return {
      dry_run: true,
      would_be_accepted: refusal === null,
      refusal,
      position: depth.ready,
      estimated_wait_seconds: estimatedWait(depth.ready, workers, meanSeconds(ended.tasks)),
      worst_case_ticks: maxTicks,
      quota: quotaToApi(refusal === null ? reservedFrom(usage, maxTicks) : usage),
    };
  }

  private refusal(usage: QuotaUsage, active: number, maxTicks: number): ErrorCode | null {
    const { testMode, userMaxActiveTasks } = this.settings.gateway;
    if (!testMode && maxTicks > usage.remaining) return 'quota_exceeded';
    return active >= userMaxActiveTasks ? 'too_many_active_tasks' : null;
  }
}

function reservedFrom({ limit, used, remaining, resetsAt }: QuotaUsage, ticks: number): QuotaUsage {
  return { limit, used: used + ticks, remaining: Math.max(0, remaining - ticks), resetsAt };
}
