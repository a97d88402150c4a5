import { EuglenaError } from '../domain/errors.js';
import { type QuotaUsage } from '../domain/quota.js';

/** A user's quota as the API shows it. */
export function quotaToApi(usage: QuotaUsage) {
  return {
    limit: usage.limit,
    used: usage.used,
    remaining: usage.remaining,
    resets_at: new Date(usage.resetsAt).toISOString(),
  };
}

/** 429: the day's ticks do not cover the task. The answer carries the quota, so that a client can ask for less. */
export class QuotaExceeded extends EuglenaError {
  constructor(
    readonly usage: QuotaUsage,
    wanted: number,
    now: number,
  ) {
    super('quota_exceeded', `The task may use ${wanted} ticks; ${usage.remaining} are left today (UTC).`, {
      retryAfterSeconds: Math.max(1, Math.ceil((usage.resetsAt - now) / 1_000)),
    });
  }
}
