import { randomBytes, randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { type Clock } from '../../domain/clock.js';
import { EuglenaError } from '../../domain/errors.js';
import { AUTHENTICATED, isUserId, LIFETIME_MAX_SECONDS } from './access-token.js';

/** `iss` of the tokens that an installation without Supabase signs for itself. */
export const LOCAL_ISSUER = 'euglena-local';
/** The user in whose name the command line works when nobody signed in. */
export const DEVELOPMENT_USER = '00000000-0000-4000-8000-000000000001';

const SECRET_BYTES = 32;
const SECRET = /^[\w-]{43}$/;

/**
 * The signing secret of a data folder, kept in `<dataDir>/identity.secret` (base64url, readable by its owner only) and made
 * on first use. Processes that start at the same moment get the same one.
 * @throws EuglenaError `engine_unavailable` that names the file when it cannot be made, read or understood.
 */
export function localSecret(dataDir: string): Uint8Array {
  const path = join(dataDir, 'identity.secret');
  try {
    if (!existsSync(path)) create(dataDir, path);
    const text = readFileSync(path, 'utf8').trim();
    if (SECRET.test(text)) return Buffer.from(text, 'base64url');
  } catch (error) {
    throw unusable(
      path,
      `cannot be used: ${error instanceof Error ? error.message : 'unknown reason'}`,
      error,
    );
  }
  throw unusable(
    path,
    `does not hold ${SECRET_BYTES} bytes in base64url; restore it, or delete it to make a new one`,
  );
}

/** Written aside and then linked: the name appears with its whole content, and only for the first who comes. */
function create(dataDir: string, path: string): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomUUID()}`;
  try {
    const file = openSync(draft, 'wx', 0o600);
    try {
      writeSync(file, `${randomBytes(SECRET_BYTES).toString('base64url')}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function unusable(path: string, problem: string, cause?: unknown): EuglenaError {
  return new EuglenaError('engine_unavailable', `The signing secret ${path} ${problem}.`, { cause });
}

export interface LocalTokenOptions {
  readonly dataDir: string;
  /** The user: a uuid. */
  readonly subject: string;
  /** How long the token is good: 1 second to 366 days. */
  readonly ttlSeconds: number;
  readonly clock: Clock;
  /** The key and `iss` of another issuer whose secret this host holds; without it, this host's own. */
  readonly issuedBy?: { readonly secret: string; readonly issuer: string };
}

/**
 * Signs an access token for a user of this host, with the claims that Supabase would give.
 * @throws EuglenaError `invalid_field` for a subject that is no uuid or a time out of range; else as {@link localSecret}.
 */
export async function issueLocalToken({
  dataDir,
  subject,
  ttlSeconds,
  clock,
  issuedBy,
}: LocalTokenOptions): Promise<string> {
  if (!isUserId(subject)) throw new EuglenaError('invalid_field', 'The subject of a token must be a uuid.');
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > LIFETIME_MAX_SECONDS) {
    throw new EuglenaError('invalid_field', `A token is good for 1 to ${LIFETIME_MAX_SECONDS} seconds.`);
  }
  const now = Math.floor(clock.now() / 1_000);
  // The Auth server of the other issuer knows nothing of this session, so nobody could ask it.
  const confirmed = issuedBy === undefined ? {} : { email_confirmed: true };
  return new SignJWT({ role: AUTHENTICATED, session_id: randomUUID(), ...confirmed })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuer(issuedBy?.issuer ?? LOCAL_ISSUER)
    .setAudience(AUTHENTICATED)
    .setSubject(subject)
    .setIssuedAt(now)
    .setExpirationTime(now + ttlSeconds)
    .sign(issuedBy ? new TextEncoder().encode(issuedBy.secret) : localSecret(dataDir));
}
