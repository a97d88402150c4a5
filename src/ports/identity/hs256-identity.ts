import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import { errors, jwtVerify } from 'jose';
import { type Clock } from '../../domain/clock.js';
import { callerOf, invalidToken, LEEWAY_SECONDS, looksLikeToken } from './access-token.js';
import { type Caller, type Identity } from './identity.port.js';

/** Callers remembered at most. One takes about 200 bytes. */
const REMEMBERED_MAX = 10_000;

export interface Hs256Options {
  /** The HMAC key: at least 32 bytes (RFC 7518, 3.2). */
  readonly secret: Uint8Array;
  /** The `iss` that a token must carry; null takes any. */
  readonly issuer: string | null;
  readonly audience: string;
  readonly clock: Clock;
  /** Whether users without an account (`is_anonymous`) are let in. Each of them has a fresh quota. */
  readonly allowAnonymous: boolean;
}

/**
 * Checks access tokens signed with a shared secret: HS256 and nothing else, so that neither `none` nor a public key used
 * as a secret gets through. Keys that a token's header offers or points to (`jwk`, `jku`, `x5u`, `kid`) are never used.
 * A token that was good stays good until it ends, and is looked up by its hash from then on.
 */
export class Hs256Identity implements Identity {
  private readonly key: KeyObject;
  /** By the token's SHA-256, the longest unused first. */
  private readonly remembered = new Map<string, Caller>();

  constructor(private readonly options: Hs256Options) {
    this.key = createSecretKey(options.secret);
  }

  async verify(token: string): Promise<Caller> {
    if (!looksLikeToken(token)) throw invalidToken();
    const digest = createHash('sha256').update(token).digest('base64');
    const known = this.remembered.get(digest);
    if (known !== undefined) {
      this.remembered.delete(digest);
      if (this.hasEnded(known)) throw invalidToken();
    }
    const caller = known ?? (await this.check(token));
    this.remember(digest, caller);
    return caller;
  }

  async ping(): Promise<void> {
    // Everything it needs is in memory.
  }

  async close(): Promise<void> {
    this.remembered.clear();
  }

  private async check(token: string): Promise<Caller> {
    const { issuer, audience, clock, allowAnonymous } = this.options;
    const now = clock.now();
    const { payload, protectedHeader } = await jwtVerify(token, this.key, {
      algorithms: ['HS256'],
      audience,
      requiredClaims: ['exp'],
      clockTolerance: LEEWAY_SECONDS,
      currentDate: new Date(now),
      ...(issuer === null ? {} : { issuer }),
    }).catch((error: unknown) => {
      throw error instanceof errors.JOSEError ? invalidToken() : error;
    });
    // A token of another kind (`at+jwt`, `logout+jwt`) was made for another purpose.
    if (String(protectedHeader.typ ?? 'JWT').toUpperCase() !== 'JWT') throw invalidToken();
    return callerOf(payload, { now, allowAnonymous });
  }

  private hasEnded(caller: Caller): boolean {
    return caller.expiresAt + LEEWAY_SECONDS * 1_000 <= this.options.clock.now();
  }

  private remember(digest: string, caller: Caller): void {
    this.remembered.set(digest, caller);
    if (this.remembered.size <= REMEMBERED_MAX) return;
    for (const oldest of this.remembered.keys()) {
      this.remembered.delete(oldest);
      return;
    }
  }
}
