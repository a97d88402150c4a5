import { Logger } from '@nestjs/common';
import { type Clock } from '../../domain/clock.js';
import { EuglenaError } from '../../domain/errors.js';
import { invalidToken } from './access-token.js';
import { KID_MAX_CHARS, PUBLIC_KEY_ALGORITHMS, type PublicKey, readPublicKeys } from './public-keys.js';
import { type SignatureHeader, type TokenKey, type TokenKeys } from './token-keys.js';

/** From this age on a set is fetched anew in the background, in ms. */
const RENEW_AFTER_MS = 5 * 60_000;
/** From this age on a set is fetched anew before it is used: a revoked key is good no longer than this, in ms. */
const FRESH_MS = 10 * 60_000;
/** How long the last good set serves while its issuer cannot be reached, in ms. */
const KEPT_MS = 24 * 3_600_000;
/** Between two fetches that unknown keys cause, and between two in the background, in ms. */
const COOLDOWN_MS = 30_000;
/** For how long a failed fetch tells that the issuer is down, so that nobody waits to hear it again, in ms. */
const KNOWN_DOWN_MS = 60_000;
/** The same while there is no set at all, in ms. */
const COLD_RETRY_MS = 1_000;

const NEVER = -Infinity;

/**
 * The public keys that an issuer publishes as a JSON Web Key Set (JWKS), fetched when they are first needed and followed
 * as they rotate. One fetch at a time; how many there are does not depend on what the tokens say.
 */
export class JwksKeys implements TokenKeys {
  readonly algorithms = PUBLIC_KEY_ALGORITHMS;
  private readonly logger = new Logger('Identity');
  private keys: readonly PublicKey[] = [];
  private loading: Promise<void> | undefined;
  /** Counts the fetches that ended. */
  private fetches = 0;
  /** When the set that is used was asked for. */
  private loadedAt = NEVER;
  private failedAt = NEVER;
  private renewedAt = NEVER;
  /** When a key that is not in the set last caused a fetch. */
  private missedAt = NEVER;
  private failure = unavailable();

  /** `fetchSet` asks the issuer; it is bounded in time and size, and rejects with `engine_unavailable`. */
  constructor(
    private readonly fetchSet: () => Promise<unknown>,
    private readonly clock: Clock,
  ) {}

  async find({ alg, kid }: SignatureHeader): Promise<TokenKey> {
    if (kid !== undefined && !(typeof kid === 'string' && kid.length <= KID_MAX_CHARS)) throw invalidToken();
    const before = this.fetches;
    await this.refresh();
    const key = this.pick(alg, kid);
    if (key !== undefined) return key;
    // Keys that were fetched for this very token would be fetched twice.
    if (this.fetches === before) await this.lookAgain();
    const added = this.pick(alg, kid);
    if (added === undefined) throw invalidToken();
    return added;
  }

  async trusts(key: TokenKey): Promise<boolean> {
    await this.refresh();
    return this.keys.some((known) => known === key);
  }

  /** Up as long as there are keys to go by, also without their issuer. */
  async ping(): Promise<void> {
    await this.refresh();
  }

  /** A token without `kid` is for the only key of its algorithm. */
  private pick(alg: string, kid: string | undefined): PublicKey | undefined {
    const keys = this.keys.filter((key) => key.alg === alg && (kid === undefined || key.kid === kid));
    return kid === undefined && keys.length > 1 ? undefined : keys[0];
  }

  /**
   * Sees to it that there are keys, and how old they may be.
   * @throws EuglenaError `engine_unavailable` when there are none.
   */
  private async refresh(): Promise<void> {
    const age = this.since(this.loadedAt);
    if (age < RENEW_AFTER_MS) return;
    if (age < FRESH_MS) return this.renewInBackground();
    if (age < KEPT_MS) {
      if (this.since(this.failedAt) < KNOWN_DOWN_MS) return this.renewInBackground();
      return this.load().catch(() => undefined);
    }
    this.keys = [];
    if (this.loading === undefined && this.since(this.failedAt) < COLD_RETRY_MS) throw this.failure;
    return this.load();
  }

  private renewInBackground(): void {
    if (this.since(this.renewedAt) < COOLDOWN_MS) return;
    this.renewedAt = this.clock.now();
    this.load().catch(() => undefined);
  }

  /** For a key that is not in the set: it may be new. Without an answer it is unknown, as before. */
  private async lookAgain(): Promise<void> {
    if (this.loading === undefined) {
      if (this.since(this.missedAt) < COOLDOWN_MS) return;
      this.missedAt = this.clock.now();
    }
    await this.load().catch(() => undefined);
  }

  private load(): Promise<void> {
    this.loading ??= this.fetch().finally(() => {
      this.loading = undefined;
      this.fetches += 1;
    });
    return this.loading;
  }

  private async fetch(): Promise<void> {
    const asked = this.clock.now();
    try {
      this.keys = await readPublicKeys(await this.fetchSet(), this.keys);
    } catch (error) {
      this.failure = error instanceof EuglenaError ? error : unavailable(error);
      if (this.failedAt === NEVER) this.logger.warn(`${this.failure.message} ${this.whatNow()}`);
      this.failedAt = this.clock.now();
      throw this.failure;
    }
    if (this.failedAt !== NEVER) this.logger.log('The signing keys can be fetched again.');
    this.loadedAt = asked;
    this.failedAt = NEVER;
  }

  private whatNow(): string {
    if (this.keys.length === 0) return 'No token can be checked until they can be fetched.';
    const until = new Date(this.loadedAt + KEPT_MS).toISOString();
    return `The known signing keys are used until ${until} at the latest.`;
  }

  /** Milliseconds between then and now. A clock that was set back makes things older, not younger. */
  private since(then: number): number {
    return Math.abs(this.clock.now() - then);
  }
}

function unavailable(cause?: unknown): EuglenaError {
  return new EuglenaError('engine_unavailable', 'The signing keys cannot be fetched.', { cause });
}
