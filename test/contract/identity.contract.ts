import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Identity } from '../../src/ports/identity/identity.port.js';

/** What an adapter brings to the suite. */
export interface IdentityHarness {
  readonly identity: Identity;
  /**
   * A token by the issuer that the adapter trusts, with a good signature: a user's, good for an hour, unless `claims`
   * changes it. A claim of `undefined` is left out; a time claim is in seconds since the epoch.
   */
  issue(claims?: Record<string, unknown>): Promise<string>;
  /** A user's token, good in all but its signature: by a key that the adapter has no reason to trust. */
  forge(): Promise<string>;
  /** Epoch milliseconds of the time that {@link elapse} passes. */
  now(): number;
  elapse(ms: number): Promise<void>;
  close(): Promise<void>;
}

export const USER = '11111111-1111-4111-8111-111111111111';
const HOUR_MS = 3_600_000;
const UNAUTHENTICATED = { name: 'EuglenaError', code: 'unauthenticated' };
const FORBIDDEN = { name: 'EuglenaError', code: 'forbidden' };

/** What every identity must do, whoever signs its tokens. */
export function identityContract(name: string, open: () => Promise<IdentityHarness>): void {
  describe(`identity by ${name}`, () => {
    let harness: IdentityHarness;
    let identity: Identity;
    beforeEach(async () => {
      harness = await open();
      identity = harness.identity;
    });
    afterEach(() => harness.close());

    /** Seconds since the epoch, `delta` from now. */
    const inSeconds = (delta: number) => Math.floor(harness.now() / 1_000) + delta;
    const verifyWith = async (claims: Record<string, unknown>) =>
      identity.verify(await harness.issue(claims));

    it('knows the user of a good token, the second time too', async () => {
      const exp = inSeconds(3_600);
      const token = await harness.issue({ exp });
      const caller = { userId: USER, expiresAt: exp * 1_000 };
      expect(await identity.verify(token)).toEqual(caller);
      expect(await identity.verify(token)).toEqual(caller);
      expect(await Promise.all(Array.from({ length: 20 }, () => identity.verify(token)))).toHaveLength(20);
    });

    it('tells users apart', async () => {
      const other = '22222222-2222-4222-8222-222222222222';
      expect((await verifyWith({ sub: other })).userId).toBe(other);
      expect((await verifyWith({})).userId).toBe(USER);
    });

    it('reads a uuid in capitals as the same user', async () => {
      const sub = 'abcdefab-cdef-4abc-8def-abcdefabcdef';
      expect((await verifyWith({ sub: sub.toUpperCase() })).userId).toBe(sub);
    });

    describe('time', () => {
      it('ends a token 10 seconds after its exp, also when it was good before', async () => {
        const exp = inSeconds(3_600);
        const seen = await harness.issue({ exp });
        const unseen = await harness.issue({ exp, session_id: '44444444-4444-4444-8444-444444444444' });
        await identity.verify(seen);
        await harness.elapse(HOUR_MS + 9_000);
        await identity.verify(seen);
        await harness.elapse(1_000);
        await expect(identity.verify(seen)).rejects.toMatchObject(UNAUTHENTICATED);
        await expect(identity.verify(unseen)).rejects.toMatchObject(UNAUTHENTICATED);
        await expect(identity.verify(seen)).rejects.toMatchObject(UNAUTHENTICATED);
      });

      it('takes a token from the moment on that it names', async () => {
        const token = await harness.issue({ nbf: inSeconds(60) });
        await expect(identity.verify(token)).rejects.toMatchObject(UNAUTHENTICATED);
        await harness.elapse(50_000);
        expect((await identity.verify(token)).userId).toBe(USER);
      });

      it.each<[string, (at: (delta: number) => number) => Record<string, unknown>]>([
        ['no exp', () => ({ exp: undefined })],
        ['an exp that is a text', () => ({ exp: '9999999999' })],
        ['an exp of null', () => ({ exp: null })],
        ['an exp in milliseconds', (at) => ({ exp: at(3_600) * 1_000 })],
        ['an exp in ten years', (at) => ({ exp: at(315_360_000) })],
        ['an iat in the future', (at) => ({ iat: at(11) })],
        ['an iat that is a text', () => ({ iat: 'now' })],
        ['an nbf that is a text', () => ({ nbf: 'now' })],
      ])('refuses %s', async (_what, claims) => {
        await expect(verifyWith(claims(inSeconds))).rejects.toMatchObject(UNAUTHENTICATED);
      });

      it.each<[string, (at: (delta: number) => number) => Record<string, unknown>]>([
        ['an iat within the leeway', (at) => ({ iat: at(10) })],
        ['no iat', () => ({ iat: undefined })],
        ['an exp with a fraction', (at) => ({ exp: at(60) + 0.5 })],
      ])('takes %s', async (_what, claims) => {
        expect((await verifyWith(claims(inSeconds))).userId).toBe(USER);
      });
    });

    describe('who is no user', () => {
      it.each<[string, Record<string, unknown>]>([
        ['an anonymous user', { is_anonymous: true }],
        ['a service', { role: 'service_role' }],
        ['a visitor', { role: 'anon' }],
      ])('forbids %s', async (_what, claims) => {
        const token = await harness.issue(claims);
        await expect(identity.verify(token)).rejects.toMatchObject(FORBIDDEN);
        await expect(identity.verify(token)).rejects.toMatchObject(FORBIDDEN);
      });

      it.each<[string, Record<string, unknown>]>([
        ['no subject', { sub: undefined }],
        ['a subject that is no uuid', { sub: 'user-1' }],
        ['a uuid with something behind it', { sub: `${USER}\n` }],
        ['the nil uuid', { sub: '00000000-0000-0000-0000-000000000000' }],
        ['a number as subject', { sub: 42 }],
        ['no audience', { aud: undefined }],
        ['another audience', { aud: 'anon' }],
        ['no role', { role: undefined }],
        ['a list of roles', { role: ['authenticated'] }],
        ['is_anonymous as a text', { is_anonymous: 'false' }],
      ])('refuses %s', async (_what, claims) => {
        await expect(verifyWith(claims)).rejects.toMatchObject(UNAUTHENTICATED);
      });

      it('refuses the keys of a project', async () => {
        for (const role of ['anon', 'service_role']) {
          const key = { iss: 'supabase', role, exp: inSeconds(315_360_000), sub: undefined, aud: undefined };
          await expect(verifyWith(key)).rejects.toMatchObject(UNAUTHENTICATED);
        }
      });
    });

    describe('what is no token', () => {
      it.each([
        ['nothing', ''],
        ['a word', 'null'],
        ['two parts', 'a.b'],
        ['dots', '...'],
        ['a publishable key', 'sb_publishable_abcdefghijklmnopqrstuv_12345678'],
        ['ten megabytes', `${'a'.repeat(10_000_000)}.a.a`],
        ['dots without end', '.'.repeat(1_000_000)],
      ])('refuses %s', async (_what, text) => {
        await expect(identity.verify(text)).rejects.toMatchObject(UNAUTHENTICATED);
      });

      it('refuses a signature by another key, even after the good token was seen', async () => {
        await identity.verify(await harness.issue());
        await expect(identity.verify(await harness.forge())).rejects.toMatchObject(UNAUTHENTICATED);
      });

      it('refuses a token with something around it, or with a part changed', async () => {
        const token = await harness.issue();
        await identity.verify(token);
        const [header = '', payload = '', signature = ''] = token.split('.');
        const none = Buffer.from('{"alg":"none"}').toString('base64url');
        const changed = [
          ` ${token}`,
          `${token}\n`,
          `${token}.`,
          `${token}.x`,
          `${token}=`,
          `${header}.${payload}.`,
          `${none}.${payload}.`,
          `${none}.${payload}.${signature}`,
          `${header}.${payload}.${signature.slice(0, -4)}`,
          `${header}.${Buffer.from('{}').toString('base64url')}.${signature}`,
        ];
        for (const text of changed) {
          await expect(identity.verify(text)).rejects.toMatchObject(UNAUTHENTICATED);
        }
      });

      it('refuses a good token with any one character of it changed, left out or added', async () => {
        const token = await harness.issue();
        await identity.verify(token);
        const letter = fc.constantFrom(
          ...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ',
        );
        const change = fc.record({
          at: fc.nat(token.length - 1),
          drop: fc.boolean(),
          put: fc.boolean(),
          letter,
        });
        const changed = change
          .map(
            (one) =>
              token.slice(0, one.at) + (one.put ? one.letter : '') + token.slice(one.at + (one.drop ? 1 : 0)),
          )
          .filter((text) => text !== token);
        await fc.assert(
          fc.asyncProperty(changed, (text) =>
            expect(identity.verify(text)).rejects.toMatchObject(UNAUTHENTICATED),
          ),
          { numRuns: 300, examples: [[`${token.slice(0, -1)}${after(token.at(-1))}`]] },
        );
      });

      it('refuses any text, header and claims without a good signature, and nothing breaks', async () => {
        const part = fc.oneof(
          fc.json().map((json) => Buffer.from(json).toString('base64url')),
          fc
            .record({ alg: fc.oneof(fc.constantFrom('HS256', 'none', 'ES256', 'RS256'), fc.jsonValue()) })
            .map((header) => Buffer.from(JSON.stringify(header)).toString('base64url')),
          fc.base64String(),
        );
        const text = fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(part, { maxLength: 5 }).map((parts) => parts.join('.')),
        );
        await fc.assert(
          fc.asyncProperty(text, (token) =>
            expect(identity.verify(token)).rejects.toMatchObject(UNAUTHENTICATED),
          ),
          { numRuns: 300 },
        );
      });
    });

    it('says the same of every bad token, and nothing of what is in it', async () => {
      const good = await harness.issue();
      const bad = [
        await harness.forge(),
        await harness.issue({ exp: inSeconds(-60) }),
        await harness.issue({ aud: 'anon' }),
        `${good}x.y`,
        'secret-looking-text',
      ];
      const messages = await Promise.all(
        bad.map((token) => identity.verify(token).then(String, (error: Error) => error.message)),
      );
      expect(new Set(messages).size).toBe(1);
      expect(messages[0]).not.toContain('secret-looking-text');
    });

    it('answers a ping', () => expect(identity.ping()).resolves.toBeUndefined());
  });
}

/** The next letter of base64url's alphabet: at the end of a token, most often another spelling of the same bits. */
function after(letter = ''): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return alphabet[(alphabet.indexOf(letter) + 1) % alphabet.length] ?? '';
}
