import { hash } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { errors, jwtVerify, type JWTVerifyResult } from 'jose';
import { type Clock } from '../../domain/clock.js';
import {
  AUTHENTICATED,
  holderOf,
  invalidToken,
  isTooLong,
  LEEWAY_SECONDS,
  looksLikeToken,
  secondsAhead,
  type TokenHolder,
} from './access-token.js';
import { type ConfirmedAddress } from './confirmed-address.js';
import { type Caller, type Identity } from './identity.port.js';
import { LruMap } from './lru-map.js';
import { type TokenKey, type TokenKeys } from './token-keys.js';

/** Tokens remembered at most. One takes about 400 bytes. */
const REMEMBERED_MAX = 10_000;
/** A warning about clocks comes once in this time, in ms. */
const CLOCK_WARNING_MS = 60_000;
/** A token that ended no longer ago than this may be refused because of a clock that is wrong, in seconds. */
const JUST_ENDED_SECONDS = 300;

export interface TokenIdentityOptions {
  /** The keys that are trusted; a token's header chooses among them and cannot bring its own (`jwk`, `jku`, `x5u`). */
  readonly keys: TokenKeys;
  /** The `iss` that a token must carry; null takes any. */
  readonly issuer: string | null;
  readonly clock: Clock;
  /** Whether users without an account (`is_anonymous`) are let in. Each of them has a fresh quota. */
  readonly allowAnonymous?: boolean;
  /** Null: whether a user's address is confirmed does not matter. */
  readonly confirmedAddress?: ConfirmedAddress | null;
  /** Ends what the keys and the addresses are asked of. */
  readonly close?: () => Promise<void>;
}

interface Remembered {
  readonly holder: TokenHolder;
  readonly key: TokenKey;
}

/**
 * Checks access tokens: JSON Web Tokens signed by one issuer. A token that was good is known by its hash from then on,
 * until it ends, its key is withdrawn, or ten thousand others came after it.
 */
export class TokenIdentity implements Identity {
  private readonly logger = new Logger('Identity');
  /** By the token's SHA-256. */
  private readonly remembered = new LruMap<Remembered>(REMEMBERED_MAX);
  private warnedAt = -Infinity;

  constructor(private readonly options: TokenIdentityOptions) {}

  async verify(token: string): Promise<Caller> {
    if (isTooLong(token)) throw invalidToken();
    const digest = hash('sha256', token, 'base64');
    let known = await this.recall(digest);
    if (known === undefined) {
      known = await this.check(token);
      this.remembered.set(digest, known);
    }
    await this.options.confirmedAddress?.require(known.holder, token);
    return known.holder.caller;
  }

  ping(): Promise<void> {
    return this.options.keys.ping();
  }

  async close(): Promise<void> {
    this.remembered.clear();
    await this.options.close?.();
  }

  private async recall(digest: string): Promise<Remembered | undefined> {
    const known = this.remembered.get(digest);
    if (known === undefined) return undefined;
    const { expiresAt } = known.holder.caller;
    if (expiresAt + LEEWAY_SECONDS * 1_000 > this.options.clock.now()) {
      if (await this.options.keys.trusts(known.key)) return known;
    }
    this.remembered.delete(digest);
    return undefined;
  }

  private async check(token: string): Promise<Remembered> {
    if (!looksLikeToken(token)) throw invalidToken();
    const { keys, issuer, clock, allowAnonymous = false } = this.options;
    const now = clock.now();
    let key: TokenKey | undefined;
    const find = async (header: { alg: string; kid?: string }) => {
      key = await keys.find(header);
      return key.key;
    };
    const { payload, protectedHeader } = await jwtVerify(token, find, {
      algorithms: [...keys.algorithms],
      audience: AUTHENTICATED,
      requiredClaims: ['exp'],
      clockTolerance: LEEWAY_SECONDS,
      currentDate: new Date(now),
      ...(issuer === null ? {} : { issuer }),
    }).catch((error: unknown) => this.refuse(error, now));
    // A token of another kind (`at+jwt`, `logout+jwt`) was made for another purpose.
    if (String(protectedHeader.typ ?? 'JWT').toUpperCase() !== 'JWT' || key === undefined)
      throw invalidToken();
    this.watchClocks(payload, now);
    return { holder: holderOf(payload, { now, allowAnonymous }), key };
  }

  /** The reason stays here: whoever forges tokens must not learn from it. */
  private refuse(error: unknown, now: number): never {
    if (error instanceof errors.JWTClaimValidationFailed) this.watchClocks(error.payload, now);
    if (error instanceof errors.JWTExpired) this.noteEnd(error.payload.exp ?? 0, now);
    throw error instanceof errors.JOSEError ? invalidToken() : error;
  }

  /** Only tokens with a good signature come here, so the issuer's clock is what they tell. */
  private watchClocks(claims: JWTVerifyResult['payload'], now: number): void {
    const ahead = secondsAhead(claims, now);
    if (!(ahead > 0)) return;
    const seconds = `${Math.ceil(ahead)} s ahead of this host's clock`;
    if (ahead <= LEEWAY_SECONDS) return this.logger.debug(`A token was taken that is ${seconds}.`);
    if (Math.abs(now - this.warnedAt) < CLOCK_WARNING_MS) return;
    this.warnedAt = now;
    this.logger.warn(
      `A token was refused that is ${seconds}: clock skew? Compare the clock with its issuer's.`,
    );
  }

  private noteEnd(exp: number, now: number): void {
    const ago = Math.round(now / 1_000 - exp);
    if (ago > JUST_ENDED_SECONDS) return;
    this.logger.debug(
      `A token was refused that ended ${ago} s ago by this host's clock: expired, or clock skew.`,
    );
  }
}
