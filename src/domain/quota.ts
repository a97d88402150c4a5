/** A user's daily budget of ticks. The day is a UTC day. */
export interface QuotaUsage {
  readonly limit: number;
  /** Reserved by unfinished tasks plus used by finished ones. */
  readonly used: number;
  readonly remaining: number;
  /** Epoch milliseconds of the next UTC midnight. */
  readonly resetsAt: number;
}

const DAY_MS = 86_400_000;

/** The UTC day of an instant, as `YYYY-MM-DD`. */
export function utcDay(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

export function nextUtcMidnight(at: number): number {
  return (Math.floor(at / DAY_MS) + 1) * DAY_MS;
}

export function quotaUsage(limit: number, used: number, at: number): QuotaUsage {
  return { limit, used, remaining: Math.max(0, limit - used), resetsAt: nextUtcMidnight(at) };
}
