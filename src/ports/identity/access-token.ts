import { EuglenaError } from '../../domain/errors.js';
import { type Caller } from './identity.port.js';

/** Longest token that is looked at, in characters: a Supabase token with 6 KiB of metadata fits, and so does a header line. */
export const TOKEN_MAX_CHARS = 16_384;
/** By how much the clocks of the issuer and this host may differ, in seconds. */
export const LEEWAY_SECONDS = 10;
/** Longest time a token may still run, in seconds. Beyond a year it is a project key, or an `exp` in milliseconds. */
export const LIFETIME_MAX_SECONDS = 366 * 86_400;
/** `aud` and `role` of a signed-in user, in the words of Supabase Auth. */
export const AUTHENTICATED = 'authenticated';

/**
 * Three non-empty parts in base64url, nothing around them (RFC 7515, 7.1). Unused bits at the end of a part are zero, so a
 * token can be written in one way only.
 */
const COMPACT_JWS = (() => {
  const part = '(?=[^.])(?:[\\w-]{4})*(?:[\\w-][AQgw]|[\\w-]{2}[AEIMQUYcgkosw048])?';
  return new RegExp(`^${part}\\.${part}\\.${part}$`);
})();
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const NIL_UUID = '00000000-0000-0000-0000-000000000000';

/** The issuer of a Supabase project's tokens, by the project's address: `<SUPABASE_URL>/auth/v1`. */
export function issuerOf(supabaseUrl: string): string {
  return `${supabaseUrl.replace(/\/+$/, '')}/auth/v1`;
}

/** Whether `text` names a user: a uuid, but not the one that stands for none (RFC 9562). */
export function isUserId(text: unknown): text is string {
  return typeof text === 'string' && UUID.test(text) && text !== NIL_UUID;
}

/** Whether a text is too long to be looked at. */
export function isTooLong(text: string): boolean {
  return text.length > TOKEN_MAX_CHARS;
}

/** Whether a text could be a signed token, before more work is spent on it. */
export function looksLikeToken(text: string): boolean {
  return !isTooLong(text) && COMPACT_JWS.test(text);
}

/** The one refusal of a token, whatever is wrong with it: it neither echoes the token nor helps to forge one. */
export function invalidToken(): EuglenaError {
  return new EuglenaError('unauthenticated', 'The access token is not valid, or no longer.');
}

/** What a good token says of the user who holds it. */
export interface TokenHolder {
  readonly caller: Caller;
  /** Names the user's session; the user, where the token names no session. */
  readonly session: string;
  /** What a hook of the project says of the user's address; undefined if there is no such hook. */
  readonly addressConfirmed: boolean | undefined;
}

type Claims = Readonly<Record<string, unknown>>;

/**
 * Who a token with these claims belongs to, once its signature, `iss`, `aud`, `exp` and `nbf` are known to be good.
 * @throws EuglenaError `unauthenticated` when they describe no user; `forbidden` when they describe one who may not enter.
 */
export function holderOf(
  claims: Claims,
  { now, allowAnonymous }: { readonly now: number; readonly allowAnonymous: boolean },
): TokenHolder {
  const { sub, exp, iat, role, session_id: session, is_anonymous: anonymous = false } = claims;
  const seconds = now / 1_000;
  if (!isUserId(sub) || typeof role !== 'string' || typeof anonymous !== 'boolean') throw invalidToken();
  if (typeof exp !== 'number' || exp > seconds + LIFETIME_MAX_SECONDS + LEEWAY_SECONDS) throw invalidToken();
  if (iat !== undefined && (typeof iat !== 'number' || iat > seconds + LEEWAY_SECONDS)) throw invalidToken();
  if (role !== AUTHENTICATED) {
    throw new EuglenaError('forbidden', 'Only signed-in users may do this; the token has another role.');
  }
  if (anonymous && !allowAnonymous) {
    throw new EuglenaError('forbidden', 'Anonymous users may not do this; sign in with an account.');
  }
  const userId = sub.toLowerCase();
  return {
    caller: { userId, expiresAt: Math.floor(exp * 1_000) },
    session: isUserId(session) ? `${userId}:${session.toLowerCase()}` : userId,
    addressConfirmed: addressConfirmed(claims),
  };
}

/** `user_metadata` does not count: it is the user's own to edit. A claim that is there and does not say yes says no. */
function addressConfirmed({ email_confirmed: flag, email_confirmed_at: since }: Claims): boolean | undefined {
  if (flag === undefined && since === undefined) return undefined;
  return (flag === undefined || flag === true) && (since === undefined || isInstant(since));
}

/** Whether a value names a moment, as `2026-01-01T00:00:00Z` does. */
export function isInstant(value: unknown): boolean {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value));
}

/** By how many seconds a token is ahead of this host's clock; positive for one that is good later only. */
export function secondsAhead({ iat, nbf }: Claims, now: number): number {
  const times = [iat, nbf].filter((time) => typeof time === 'number');
  return Math.max(...times, -Infinity) - now / 1_000;
}
