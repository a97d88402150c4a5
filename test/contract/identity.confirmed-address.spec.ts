import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { AuthServer } from '../../src/ports/identity/auth-server.js';
import { ConfirmedAddress } from '../../src/ports/identity/confirmed-address.js';
import { type Caller } from '../../src/ports/identity/identity.port.js';
import { TokenIdentity } from '../../src/ports/identity/token-identity.js';
import { SecretKeys } from '../../src/ports/identity/token-keys.js';
import { eventually } from '../support/eventually.js';
import { ManualClock } from '../support/manual-clock.js';
import {
  type AuthAnswer,
  startSupabaseAuthServer,
  type SupabaseAuthServer,
} from '../support/supabase-auth-server.js';
import { USER } from './identity.contract.js';
import { asCase, type JwtCase, JwtForge } from './identity.jwt-cases.js';

const SECOND = 1_000;
const MINUTE = 60_000;
const FORBIDDEN = { name: 'EuglenaError', code: 'forbidden' };
const UNAUTHENTICATED = { name: 'EuglenaError', code: 'unauthenticated' };
const UNAVAILABLE = { name: 'EuglenaError', code: 'engine_unavailable' };
const CONFIRMED = { body: { id: USER, email_confirmed_at: '2026-01-01T00:00:00.123456Z' } };
const UNCONFIRMED = { body: { id: USER, email_confirmed_at: null, user_metadata: { email_verified: true } } };

Logger.overrideLogger(false);

describe('a confirmed address', () => {
  let clock: ManualClock;
  let server: SupabaseAuthServer;
  let forge: JwtForge;
  let identity: TokenIdentity;
  beforeEach(async () => {
    clock = new ManualClock();
    server = await startSupabaseAuthServer();
    forge = new JwtForge(clock.now(), server.issuer);
    identity = open(authServer());
  });
  afterEach(async () => {
    await identity.close();
    await server.close();
  });

  const authServer = (patienceMs = 5_000) =>
    new AuthServer({ url: server.url, anonKey: 'the-anon-key', patienceMs });

  function open(auth: AuthServer | null): TokenIdentity {
    return new TokenIdentity({
      keys: new SecretKeys(forge.secret),
      issuer: server.issuer,
      clock,
      confirmedAddress: new ConfirmedAddress(auth === null ? null : (token) => auth.standing(token), clock),
      close: async () => auth?.close(),
    });
  }

  let count = 0;
  function token(claims: Record<string, unknown> = {}): string {
    count += 1;
    const changes = asCase({ jti: String(count), ...claims });
    const jwtCase: JwtCase = {
      id: '',
      group: '',
      title: '',
      mode: 'legacy',
      sign: 'hs',
      claims: changes,
      expect: { status: 200 },
    };
    return forge.build(jwtCase);
  }

  const session = (n: number) => `33333333-3333-4333-8333-${String(n).padStart(12, '0')}`;
  const asked = () => server.user.requests.length;
  const takes = async (one: string) => expect((await identity.verify(one)).userId).toBe(USER);
  const fails = (one: string, how: object) => expect(identity.verify(one)).rejects.toMatchObject(how);

  it("is asked of the project, in the user's own name", async () => {
    const one = token();
    await takes(one);
    expect(server.user.requests[0]).toMatchObject({ apikey: 'the-anon-key', authorization: `Bearer ${one}` });
  });

  it.each([
    ['an e-mail address', { email_confirmed_at: '2026-01-01T00:00:00Z' }],
    ['a telephone number', { email_confirmed_at: null, phone_confirmed_at: '2026-01-01T00:00:00Z' }],
    ['either', { confirmed_at: '2026-01-01T00:00:00Z' }],
  ])('may be %s', async (_what, body) => {
    server.user.answer({ body });
    await takes(token());
  });

  it.each<[string, unknown]>([
    ['null', { email_confirmed_at: null, phone_confirmed_at: null, confirmed_at: null }],
    ['missing', {}],
    ['a blank', { email_confirmed_at: '' }],
    ['no date', { email_confirmed_at: 'yes' }],
    ['true', { email_confirmed_at: true }],
    ["in what is the user's own to edit", { user_metadata: { email_confirmed_at: '2026-01-01T00:00:00Z' } }],
  ])('is not one when the date is %s: 403', async (_what, body) => {
    server.user.answer({ body });
    await fails(token(), FORBIDDEN);
  });

  describe('is asked for', () => {
    it('once for a session in 5 minutes, whatever tokens it has', async () => {
      await takes(token());
      clock.advance(5 * MINUTE - 1);
      await takes(token());
      expect(asked()).toBe(1);
      clock.advance(1);
      await takes(token());
      expect(asked()).toBe(2);
    });

    it('once for a session whose requests come at the same time', async () => {
      server.user.answer('hold');
      const all: Promise<Caller>[] = Array.from({ length: 50 }, () => identity.verify(token()));
      await eventually('the question', () => asked() === 1);
      server.user.answer(CONFIRMED);
      expect(await Promise.all(all)).toHaveLength(50);
      expect(asked()).toBe(1);
    });

    it('for each session, and for each user without one', async () => {
      await takes(token({ session_id: session(1) }));
      await takes(token({ session_id: session(2) }));
      await takes(token({ session_id: session(1) }));
      await takes(token({ session_id: undefined }));
      await takes(token({ session_id: 'no uuid' }));
      expect(asked()).toBe(3);
      // A session is one user's, whatever a token says.
      await identity.verify(token({ session_id: session(1), sub: session(9) }));
      expect(asked()).toBe(4);
    });

    it('again after 30 seconds when it was not confirmed: it may be now', async () => {
      server.user.answer(UNCONFIRMED);
      const one = token();
      for (let time = 0; time < 20; time += 1) await fails(one, FORBIDDEN);
      expect(asked()).toBe(1);
      server.user.answer(CONFIRMED);
      clock.advance(30 * SECOND);
      await takes(one);
      expect(asked()).toBe(2);
    });

    it('never, for a token that is no good', async () => {
      await fails(`${token()}x`, UNAUTHENTICATED);
      await fails(token({ role: 'anon' }), FORBIDDEN);
      await fails(token({ is_anonymous: true }), FORBIDDEN);
      await fails(token({ exp: clock.now() / 1_000 - 60 }), UNAUTHENTICATED);
      expect(asked()).toBe(0);
    });

    it('of more sessions than are remembered', async () => {
      let questions = 0;
      const ask = async () => {
        questions += 1;
        return 'confirmed' as const;
      };
      const address = new ConfirmedAddress(ask, clock);
      const caller = { userId: USER, expiresAt: 0 };
      const require = (n: number) =>
        address.require({ caller, session: String(n), addressConfirmed: undefined }, 'token');
      for (let n = 0; n < 10_001; n += 1) await require(n);
      await require(10_000);
      await require(1);
      expect(questions).toBe(10_001);
      await require(0);
      expect(questions).toBe(10_002);
    });
  });

  describe('is what a hook of the project says', () => {
    it.each([
      ['a flag', { email_confirmed: true }],
      ['a date', { email_confirmed_at: '2026-01-01T00:00:00Z' }],
      ['both', { email_confirmed: true, email_confirmed_at: '2026-01-01T00:00:00Z' }],
    ])('by %s, without asking', async (_what, claims) => {
      server.user.answer(UNCONFIRMED);
      await takes(token(claims));
      expect(asked()).toBe(0);
    });

    it.each([
      ['false', { email_confirmed: false }],
      ['a text', { email_confirmed: 'true' }],
      ['null', { email_confirmed_at: null }],
      ['a blank', { email_confirmed_at: '' }],
      ['a number', { email_confirmed_at: 1_767_225_600 }],
      ['a contradiction', { email_confirmed: false, email_confirmed_at: '2026-01-01T00:00:00Z' }],
    ])('and %s is no: 403, with somebody to ask and without', async (_what, claims) => {
      await fails(token(claims), FORBIDDEN);
      expect(asked()).toBe(0);
      await identity.close();
      identity = open(null);
      await fails(token(claims), FORBIDDEN);
    });
  });

  it('is left to the project when there is nobody to ask', async () => {
    await identity.close();
    identity = open(null);
    await takes(token());
  });

  describe('when the project does not say', () => {
    it.each<[string, AuthAnswer]>([
      ['nothing', 'hold'],
      ['a broken connection', 'down'],
      ['a drip', 'slow'],
      ['an error', { status: 500, body: { msg: 'unexpected_failure', error_code: 'unexpected_failure' } }],
      [
        'too many requests',
        { status: 429, body: { msg: 'slow down', error_code: 'over_request_rate_limit' } },
      ],
      ['a redirect', { status: 307, headers: { location: '/elsewhere' }, body: CONFIRMED.body }],
      ['a page', { body: '<html></html>' }],
      ['nothing in it', { body: '' }],
      ['null', { body: 'null' }],
      ['more than 256 KiB', { body: { ...CONFIRMED.body, more: 'x'.repeat(262_144) } }],
      ['no key given', { status: 401, body: { message: 'No API key found in request' } }],
      ['a wrong key', { status: 401, body: { message: 'Invalid API key' } }],
      ['no such path', { status: 404, body: { message: 'no Route matched with those values' } }],
    ])('but answers %s: 503, within its patience', async (_what, answer) => {
      await identity.close();
      identity = open(authServer(1_000));
      server.user.answer(answer);
      const started = performance.now();
      await fails(token(), UNAVAILABLE);
      expect(performance.now() - started).toBeLessThan(4_000);
      expect(server.others).toEqual([]);
    });

    it('lets in who was confirmed in the last 5 minutes, and nobody else', async () => {
      await takes(token());
      server.user.answer('down');
      clock.advance(4 * MINUTE);
      await takes(token());
      await fails(token({ session_id: session(1) }), UNAVAILABLE);
      clock.advance(MINUTE);
      await fails(token(), UNAVAILABLE);
      server.user.answer(CONFIRMED);
      await takes(token());
    });

    it('says why without a word of the token or the anon key', async () => {
      server.user.answer('down');
      const one = token();
      const error: Error = await identity.verify(one).then(
        () => new Error('taken'),
        (reason: Error) => reason,
      );
      const everything = `${error.message}\n${error.stack}\n${JSON.stringify(error.cause)}`;
      expect(everything).toContain('cannot be reached');
      for (const secret of ['the-anon-key', one, one.split('.')[2] ?? ''])
        expect(everything).not.toContain(secret);
    });
  });

  it.each([
    ['signed out', 403, { code: 403, error_code: 'session_not_found', msg: 'Session does not exist' }],
    ['deleted', 404, { code: 404, msg: 'User not found' }],
    ['banned', 403, { code: 'user_banned', message: 'User is banned' }],
    ['refused', 401, { message: 'invalid JWT' }],
  ])('is not asked about when the user is %s: 401', async (_what, status, body) => {
    server.user.answer({ status, body });
    await fails(token(), UNAUTHENTICATED);
    await fails(token(), UNAUTHENTICATED);
    expect(asked()).toBe(1);
  });
});
