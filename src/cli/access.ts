import { type Environment, readSettings, type Settings } from '../config/settings.js';
import { systemClock } from '../config/system-clock.js';
import { issuerOf } from '../ports/identity/access-token.js';
import { DEVELOPMENT_USER, issueLocalToken, LOCAL_ISSUER } from '../ports/identity/local-secret.js';
import { ApiClient } from './api-client.js';
import { CommandError, UsageError } from './command.js';
import { parseUrl } from '../domain/parse-url.js';

/** How long a token that a command signs for itself is good, in seconds: longer than a task may run. */
const OWN_TOKEN_SECONDS = 86_400;

/** The flags of every command that talks to a gateway. */
export const GATEWAY_FLAGS = { url: { type: 'string' }, token: { type: 'string' } } as const;
export const GATEWAY_USAGE = '[--url http://127.0.0.1:8080] [--token t]';
const DEFAULT_URL = 'http://127.0.0.1:8080';

/** The settings of a whole installation on this host, on a free port of the loopback. */
export function localSettings(env: Environment): Settings {
  const level = env.LOG_LEVEL?.trim() ? env.LOG_LEVEL : 'error';
  return readSettings({ ...env, EUGLENA_ROLE: 'all', HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: level });
}

/**
 * An access token that an installation with these settings takes: by Supabase's secret if it has one, else its own.
 * @throws CommandError when only the Supabase project itself can sign one.
 */
export async function developmentToken(
  { dataDir, supabase }: Settings,
  { subject = DEVELOPMENT_USER, ttlSeconds = OWN_TOKEN_SECONDS } = {},
): Promise<string> {
  if (supabase.url !== null && supabase.jwtSecret === null) {
    throw new CommandError(
      'SUPABASE_URL is set, so only tokens of that project are good: give one by --token or EUGLENA_TOKEN',
    );
  }
  const issuer = supabase.url === null ? LOCAL_ISSUER : issuerOf(supabase.url);
  const issuedBy = supabase.jwtSecret === null ? {} : { issuedBy: { secret: supabase.jwtSecret, issuer } };
  return issueLocalToken({ dataDir, subject, ttlSeconds, clock: systemClock, ...issuedBy });
}

/** The gateway that the flags name, with the token of the flags, of `EUGLENA_TOKEN`, or one signed here. */
export async function gatewayClient(
  flags: { readonly url?: string | undefined; readonly token?: string | undefined },
  env: Environment,
): Promise<ApiClient> {
  const url = (flags.url ?? DEFAULT_URL).replace(/\/+$/, '');
  if (!/^https?:$/.test(parseUrl(url)?.protocol ?? '')) {
    throw new UsageError('--url must be an address that starts with http:// or https://');
  }
  const given = (flags.token ?? env.EUGLENA_TOKEN ?? '').trim();
  const token = given === '' ? await developmentToken(localSettings(env)) : given;
  if (!/^[\x21-\x7e]+$/.test(token)) throw new UsageError('the token must be visible ASCII characters');
  return new ApiClient(url, token, systemClock);
}
