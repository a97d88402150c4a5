import { Logger } from '@nestjs/common';
import { readSettings } from '../../src/config/settings.js';
import { supabaseIdentity } from '../../src/ports/identity/supabase-identity.js';
import { ManualClock } from '../support/manual-clock.js';
import { startSupabaseAuthServer } from '../support/supabase-auth-server.js';
import { identityContract, type IdentityHarness } from './identity.contract.js';
import { asCase, type JwtCase, JwtForge, publicJwk } from './identity.jwt-cases.js';

Logger.overrideLogger(false);

const token = (sign: string, changes: Partial<JwtCase> = {}): JwtCase => ({
  id: 'good',
  group: 'ok',
  title: '',
  mode: 'both',
  sign,
  expect: { status: 200 },
  ...changes,
});

/** A project whose tokens `sign` signs, and which says of every user that their address is confirmed. */
function open(sign: string, withSecret: boolean): () => Promise<IdentityHarness> {
  return async () => {
    const clock = new ManualClock();
    const server = await startSupabaseAuthServer([publicJwk('es1'), publicJwk('rs1')]);
    const forge = new JwtForge(clock.now(), server.issuer);
    const { supabase } = readSettings({
      SUPABASE_URL: server.url,
      SUPABASE_ANON_KEY: 'anon',
      ...(withSecret ? { SUPABASE_JWT_SECRET: forge.secret.toString() } : {}),
    });
    const identity = supabaseIdentity(supabase, clock);
    return {
      identity,
      issue: async (claims = {}) => forge.build(token(sign, { claims: asCase(claims) })),
      // By another key, under the name of the trusted one.
      forge: async () =>
        sign === 'hs'
          ? forge.build(token('attacker-hs'))
          : forge.build(token('attacker-es', { header: { kid: 'es-1' } })),
      now: () => clock.now(),
      elapse: async (ms) => clock.advance(ms),
      close: async () => {
        await identity.close();
        await server.close();
      },
    };
  };
}

identityContract("a Supabase project's secret, beside its published keys", open('hs', true));
identityContract("a Supabase project's published EC key", open('es1', false));
identityContract("a Supabase project's published RSA key, beside its secret", open('rs1', true));
