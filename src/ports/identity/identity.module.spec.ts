import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { SignJWT } from 'jose';
import { temporaryDataDir } from '../../../test/support/data-dir.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
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
  let dataDir: ReturnType<typeof temporaryDataDir>;
  beforeEach(() => {
    dataDir = temporaryDataDir();
  });
  afterEach(() => dataDir.remove());

  async function withIdentity(env: Environment, work: (identity: Identity) => Promise<void>): Promise<void> {
    const settings = readSettings({ EUGLENA_DATA_DIR: dataDir.path, ...env });
    const app = await Test.createTestingModule({
      imports: [SettingsModule.with(settings, clock), IdentityModule],
    }).compile();
    await work(app.get<Identity>(IDENTITY));
    await app.close();
  }

  const localToken = () => issueLocalToken({ dataDir: dataDir.path, subject: USER, ttlSeconds: 60, clock });
  const supabaseToken = (issuer: string) =>
    new SignJWT({ role: 'authenticated' })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience('authenticated')
      .setSubject(USER)
      .setExpirationTime(clock.now() / 1_000 + 60)
      .sign(new TextEncoder().encode(SECRET));

  it("trusts this host's own tokens when there is no Supabase", () =>
    withIdentity({}, async (identity) => {
      expect((await identity.verify(await localToken())).userId).toBe(USER);
      const foreign = await supabaseToken('euglena-local');
      await expect(identity.verify(foreign)).rejects.toMatchObject(UNAUTHENTICATED);
    }));

  it.each(['https://p.supabase.co', 'https://p.supabase.co/'])('trusts the project at %s alone', (url) =>
    withIdentity({ SUPABASE_JWT_SECRET: SECRET, SUPABASE_URL: url }, async (identity) => {
      const token = await supabaseToken('https://p.supabase.co/auth/v1');
      expect((await identity.verify(token)).userId).toBe(USER);
      const other = await supabaseToken('https://q.supabase.co/auth/v1');
      await expect(identity.verify(other)).rejects.toMatchObject(UNAUTHENTICATED);
      await expect(identity.verify(await localToken())).rejects.toMatchObject(UNAUTHENTICATED);
    }),
  );

  it('trusts the secret, whatever the issuer, when the project has no address', () =>
    withIdentity({ SUPABASE_JWT_SECRET: SECRET }, async (identity) => {
      const token = await supabaseToken('https://q.supabase.co/auth/v1');
      expect((await identity.verify(token)).userId).toBe(USER);
    }));
});
