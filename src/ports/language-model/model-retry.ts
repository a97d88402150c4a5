const BACKOFF_BASE_MS = 1_000;
const BACKOFF_CAP_MS = 20_000;
const RETRY_AFTER_CAP_MS = 60_000;

/** Whether the same request can succeed later: timeouts, conflicts, rate limits and faults of the server. */
export function retryHelps(status: number): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

/**
 * What a `Retry-After` header asks for, in milliseconds, at most 60 s; null when there is none that can be read.
 * Seconds or an HTTP date (RFC 9110, section 10.2.3).
 */
export function retryAfterMs(header: string | null | undefined, now: number): number | null {
  const text = header?.trim() ?? '';
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), RETRY_AFTER_CAP_MS);
}

/**
 * Milliseconds to wait after the `attempt`th failure (from 1): doubling from 1 s to 20 s, of which a random half is taken
 * off so that many agents do not come back together. A told time is waited for, plus up to a second.
 */
export function retryWait(attempt: number, told: number | null, random: () => number): number {
  if (told !== null) return Math.min(told + random() * 1_000, RETRY_AFTER_CAP_MS);
  return Math.min(BACKOFF_BASE_MS * 2 ** (attempt - 1), BACKOFF_CAP_MS) * (0.5 + random() / 2);
}
