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

/** Three non-empty parts in base64url, nothing around them (RFC 7515, 7.1). */
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const NIL_UUID = '00000000-0000-0000-0000-000000000000';

/** Whether `text` names a user: a uuid, but not the one that stands for none (RFC 9562). */
export function isUserId(text: unknown): text is string {
  return typeof text === 'string' && UUID.test(text) && text !== NIL_UUID;
}

/** Whether a text could be a signed token, before any work is spent on it. */
export function looksLikeToken(text: unknown): text is string {
  return typeof text === 'string' && text.length <= TOKEN_MAX_CHARS && COMPACT_JWS.test(text);
}

/** The one refusal of a token, whatever is wrong with it: it neither echoes the token nor helps to forge one. */
export function invalidToken(): EuglenaError {
  return new EuglenaError('unauthenticated', 'The access token is not valid, or no longer.');
}

/**
 * Who a token with these claims belongs to, once its signature, `iss`, `aud`, `exp` and `nbf` are known to be good.
 * @throws EuglenaError `unauthenticated` when they describe no user; `forbidden` when they describe one who may not enter.
 */
export function callerOf(
  claims: Readonly<Record<string, unknown>>,
  { now, allowAnonymous }: { readonly now: number; readonly allowAnonymous: boolean },
): Caller {
  const { sub, exp, iat, role, is_anonymous: anonymous = false } = claims;
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
  return { userId: sub.toLowerCase(), expiresAt: Math.floor(exp * 1_000) };
}
