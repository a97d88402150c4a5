import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import { IDENTITY, type Identity } from './identity.port.js';
import { LOCAL_ISSUER, localSecret } from './local-secret.js';
import { supabaseIdentity } from './supabase-identity.js';
import { TokenIdentity } from './token-identity.js';
import { SecretKeys } from './token-keys.js';

/** Whose tokens are good here: the Supabase project's, else this host's own. */
function open({ supabase, dataDir }: Settings, clock: Clock): Identity {
  if (supabase.url !== null || supabase.jwtSecret !== null) return supabaseIdentity(supabase, clock);
  return new TokenIdentity({ keys: new SecretKeys(localSecret(dataDir)), issuer: LOCAL_ISSUER, clock });
}

@Module({
  providers: [{ provide: IDENTITY, useFactory: open, inject: [SETTINGS, CLOCK] }],
  exports: [IDENTITY],
})
export class IdentityModule implements OnApplicationShutdown {
  constructor(@Inject(IDENTITY) private readonly identity: Identity) {}

  onApplicationShutdown(): Promise<void> {
    return this.identity.close();
  }
}
