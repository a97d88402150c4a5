import { type Clock } from '../domain/clock.js';

/** Keys remembered at most, about 100 bytes each. Past that, the one that asked longest ago is forgotten. */
const KEYS_MAX = 20_000;
const MINUTE_MS = 60_000;

export interface Taken {
  readonly allowed: boolean;
  /** How many more may come at once. */
  readonly left: number;
  /** Seconds until the next one may come; 0 when it may come now. */
  readonly retryAfterSeconds: number;
  /** Seconds until as many as ever may come at once. */
  readonly fullInSeconds: number;
}

/** Sums of fractions of milliseconds are not exact; a difference below this is none. */
const ROUNDING_MS = 0.001;

/**
 * Token buckets, one for each key: `perMinute` requests at once, and from then on as many a minute, spread evenly. They
 * live in this process: each gateway counts for itself, so that counting costs no round trip.
 */
export class TokenBuckets {
  /** When each bucket is full again, in epoch ms; the longest unused first. */
  private readonly fullAt = new Map<string, number>();
  /** How long a bucket takes to win one token back, in ms. */
  private readonly tokenMs: number;

  constructor(
    readonly perMinute: number,
    private readonly clock: Clock,
    private readonly keysMax = KEYS_MAX,
  ) {
    this.tokenMs = MINUTE_MS / perMinute;
  }

  /** Takes a token, if there is a whole one. */
  take(key: string): Taken {
    const now = this.clock.now();
    const before = Math.min(MINUTE_MS, Math.max(0, (this.fullAt.get(key) ?? now) - now));
    const allowed = before + this.tokenMs <= MINUTE_MS + ROUNDING_MS;
    const missing = allowed ? before + this.tokenMs : before;
    this.remember(key, now + missing);
    return {
      allowed,
      left: Math.floor((MINUTE_MS - missing + ROUNDING_MS) / this.tokenMs),
      retryAfterSeconds: wholeSeconds(missing + this.tokenMs - MINUTE_MS),
      fullInSeconds: wholeSeconds(missing),
    };
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.fullAt.size;
  }

  private remember(key: string, fullAt: number): void {
    this.fullAt.delete(key);
    this.fullAt.set(key, fullAt);
    if (this.fullAt.size <= this.keysMax) return;
    for (const oldest of this.fullAt.keys()) {
      this.fullAt.delete(oldest);
      return;
    }
  }
}

function wholeSeconds(ms: number): number {
  return Math.max(0, Math.ceil((ms - ROUNDING_MS) / 1_000));
}
