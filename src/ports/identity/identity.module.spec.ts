import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { temporaryDataDir } from '../../../test/support/data-dir.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
import {
  startSupabaseAuthServer,
  type SupabaseAuthServer,
} from '../../../test/support/supabase-auth-server.js';
import { SettingsModule } from '../../config/settings.module.js';
import { type Environment, readSettings } from '../../config/settings.js';
import { IdentityModule } from './identity.module.js';
import { IDENTITY, type Identity } from './identity.port.js';
import { issueLocalToken } from './local-secret.js';

const USER = '11111111-1111-4111-8111-111111111111';
const SECRET = 'a project secret of 32 characters and more';
const UNAUTHENTICATED = { code: 'unauthenticated' };

describe('IdentityModule', () => {
  const clock = new ManualClock();
  let server: SupabaseAuthServer;
  let pair: Awaited<ReturnType<typeof generateKeyPair>>;
  let dataDir: ReturnType<typeof temporaryDataDir>;
  const warnings: unknown[] = [];
  beforeAll(async () => {
    pair = await generateKeyPair('ES256');
    server = await startSupabaseAuthServer([
      { ...(await exportJWK(pair.publicKey)), alg: 'ES256', kid: 'k' },
    ]);
  });
  afterAll(() => server.close());
  beforeEach(() => {
    dataDir = temporaryDataDir();
    warnings.length = 0;
  });
  afterEach(() => dataDir.remove());

  async function withIdentity(env: Environment, work: (identity: Identity) => Promise<void>): Promise<void> {
    const settings = readSettings({ EUGLENA_DATA_DIR: dataDir.path, ...env });
    const app = await Test.createTestingModule({
      imports: [SettingsModule.with(settings, clock), IdentityModule],
    })
      .setLogger({ log: () => undefined, error: () => undefined, warn: (text) => warnings.push(text) })
      .compile();
    await work(app.get<Identity>(IDENTITY)).finally(() => app.close());
  }

  const localToken = () => issueLocalToken({ dataDir: dataDir.path, subject: USER, ttlSeconds: 60, clock });
  const unsigned = (issuer: string, alg: string) =>
    new SignJWT({ role: 'authenticated' })
      .setProtectedHeader({ alg, typ: 'JWT', kid: 'k' })
      .setIssuer(issuer)
      .setAudience('authenticated')
      .setSubject(USER)
      .setExpirationTime(clock.now() / 1_000 + 60);
  const secretToken = (issuer: string) => unsigned(issuer, 'HS256').sign(new TextEncoder().encode(SECRET));
  const keyToken = (issuer: string) => unsigned(issuer, 'ES256').sign(pair.privateKey);
  const refuses = (identity: Identity, token: string) =>
    expect(identity.verify(token)).rejects.toMatchObject(UNAUTHENTICATED);

  it("trusts this host's own tokens when there is no Supabase", () =>
    withIdentity({}, async (identity) => {
      expect((await identity.verify(await localToken())).userId).toBe(USER);
      await refuses(identity, await secretToken('euglena-local'));
      expect(warnings).toEqual([]);
    }));

  it.each(['', '/'])('trusts the project at its address with "%s" behind it alone', (end) => {
    const env = {
      SUPABASE_JWT_SECRET: SECRET,
      SUPABASE_URL: `${server.url}${end}`,
      SUPABASE_ANON_KEY: 'anon',
    };
    return withIdentity(env, async (identity) => {
      expect((await identity.verify(await secretToken(server.issuer))).userId).toBe(USER);
      expect((await identity.verify(await keyToken(server.issuer))).userId).toBe(USER);
      await refuses(identity, await secretToken('https://q.supabase.co/auth/v1'));
      await refuses(identity, await keyToken('https://q.supabase.co/auth/v1'));
      await refuses(identity, await localToken());
      expect(warnings).toEqual([]);
    });
  });

  it('trusts the published keys alone when there is no secret', () =>
    withIdentity({ SUPABASE_URL: server.url }, async (identity) => {
      expect((await identity.verify(await keyToken(server.issuer))).userId).toBe(USER);
      await refuses(identity, await secretToken(server.issuer));
      expect(warnings).toEqual([expect.stringContaining('Without SUPABASE_ANON_KEY')]);
    }));

  it('trusts the secret, whatever the issuer, when the project has no address, and says on what it relies', () =>
    withIdentity({ SUPABASE_JWT_SECRET: SECRET }, async (identity) => {
      const token = await secretToken('https://q.supabase.co/auth/v1');
      expect((await identity.verify(token)).userId).toBe(USER);
      await refuses(identity, await keyToken('https://q.supabase.co/auth/v1'));
      expect(warnings).toEqual([expect.stringContaining('"Confirm email"')]);
    }));

  it('asks nobody about addresses when SUPABASE_ALLOW_UNCONFIRMED is on, and says so', () => {
    const env = { SUPABASE_URL: server.url, SUPABASE_ALLOW_UNCONFIRMED: 'true' };
    const before = server.user.requests.length;
    return withIdentity(env, async (identity) => {
      expect((await identity.verify(await keyToken(server.issuer))).userId).toBe(USER);
      expect(server.user.requests).toHaveLength(before);
      expect(warnings).toEqual([expect.stringContaining('SUPABASE_ALLOW_UNCONFIRMED')]);
    });
  });

  it('is down while it cannot get keys, unless there is a secret for other tokens', async () => {
    server.keySet.answer('down');
    const env = { SUPABASE_URL: server.url, SUPABASE_ALLOW_UNCONFIRMED: 'true' };
    const unavailable = { code: 'engine_unavailable' };
    await withIdentity(env, async (identity) => {
      await expect(identity.ping()).rejects.toMatchObject(unavailable);
    });
    await withIdentity({ ...env, SUPABASE_JWT_SECRET: SECRET }, async (identity) => {
      await identity.ping();
      expect((await identity.verify(await secretToken(server.issuer))).userId).toBe(USER);
      await expect(identity.verify(await keyToken(server.issuer))).rejects.toMatchObject(unavailable);
    });
  });
});
