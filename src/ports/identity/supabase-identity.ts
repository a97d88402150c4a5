import { Logger } from '@nestjs/common';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import { AuthServer } from './auth-server.js';
import { ConfirmedAddress } from './confirmed-address.js';
import { JwksKeys } from './jwks-keys.js';
import { TokenIdentity } from './token-identity.js';
import { KeyFamilies, SecretKeys, type TokenKeys } from './token-keys.js';

/** The users of a Supabase project: by its secret, by the keys that it publishes, or by both while it moves to these. */
export function supabaseIdentity(supabase: Settings['supabase'], clock: Clock): TokenIdentity {
  const server =
    supabase.url === null ? null : new AuthServer({ url: supabase.url, anonKey: supabase.anonKey });
  const families: TokenKeys[] = [];
  if (supabase.jwtSecret !== null) families.push(new SecretKeys(Buffer.from(supabase.jwtSecret)));
  if (server !== null) families.push(new JwksKeys(() => server.keySet(), clock));
  const ask = server === null ? null : (token: string) => server.standing(token);
  warn(supabase);
  return new TokenIdentity({
    keys: new KeyFamilies(families),
    issuer: server?.issuer ?? null,
    clock,
    confirmedAddress: supabase.allowUnconfirmed ? null : new ConfirmedAddress(ask, clock),
    close: async () => server?.close(),
  });
}

/** What an operator should know about who is let in. */
function warn({ url, anonKey, allowUnconfirmed }: Settings['supabase']): void {
  const logger = new Logger('Identity');
  if (allowUnconfirmed) {
    logger.warn('SUPABASE_ALLOW_UNCONFIRMED is on: users whose address is not confirmed are let in.');
  } else if (url === null) {
    logger.warn(
      'Without SUPABASE_URL nobody can be asked whether an address is confirmed: ' +
        'this relies on "Confirm email" being switched on in the Supabase project.',
    );
  } else if (anonKey === null) {
    logger.warn(
      'Without SUPABASE_ANON_KEY a hosted Supabase project does not say whether an address is confirmed.',
    );
  }
}
