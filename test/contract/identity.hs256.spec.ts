import { beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { TokenIdentity } from '../../src/ports/identity/token-identity.js';
import { SecretKeys } from '../../src/ports/identity/token-keys.js';
import { ManualClock } from '../support/manual-clock.js';
import { identityContract, type IdentityHarness, USER } from './identity.contract.js';
import { asCase, JWT_CASES, JWT_ISSUER, type JwtCase, JwtForge } from './identity.jwt-cases.js';

beforeEach(() => Logger.overrideLogger(false));

const GOOD: JwtCase = {
  id: 'good',
  group: 'ok',
  title: '',
  mode: 'legacy',
  sign: 'hs',
  expect: { status: 200 },
};

function openAt(clock: ManualClock, issuer: string | null = JWT_ISSUER, allowAnonymous = false) {
  const forge = new JwtForge(clock.now());
  const identity = new TokenIdentity({ keys: new SecretKeys(forge.secret), issuer, clock, allowAnonymous });
  return { forge, identity };
}

async function open(): Promise<IdentityHarness> {
  const clock = new ManualClock();
  const { forge, identity } = openAt(clock);
  return {
    identity,
    issue: async (claims = {}) => forge.build({ ...GOOD, claims: asCase(claims) }),
    forge: async () => forge.build(GOOD, 'attacker-hs'),
    now: () => clock.now(),
    elapse: async (ms) => clock.advance(ms),
    close: () => identity.close(),
  };
}

identityContract('a shared secret', open);

/** What a gateway with the shared secret alone answers to a token, as an HTTP status. */
async function statusOf(token: string, clock: ManualClock, identity: TokenIdentity): Promise<number> {
  try {
    const caller = await identity.verify(token);
    expect(caller.expiresAt).toBeGreaterThan(clock.now() - 10_000);
    return 200;
  } catch (error) {
    expect(error).toMatchObject({ name: 'EuglenaError' });
    return (error as { code: string }).code === 'forbidden' ? 403 : 401;
  }
}

async function expectAsSaid(jwtCase: JwtCase, signer: string): Promise<void> {
  const clock = new ManualClock();
  const { forge, identity } = openAt(clock);
  const { status, or = [] } = jwtCase.expect;
  expect([status, ...or]).toContain(await statusOf(forge.build(jwtCase, signer), clock, identity));
}

const named = (cases: readonly JwtCase[]) =>
  cases.map((jwtCase): [string, JwtCase] => [`${jwtCase.id} ${jwtCase.title}`, jwtCase]);

const hmacSigned = JWT_CASES.filter(({ mode, sign }) => mode !== 'jwks' && sign.startsWith('hs'));

/** What is judged by the claims, the form or a shared rule for headers, and so holds for a token by any family of keys. */
const ofAnyFamily = JWT_CASES.filter(
  ({ mode, sign, header = {}, transport, fixture, env, mutate = [] }) =>
    mode === 'jwks' &&
    sign === 'es1' &&
    !('alg' in header || 'kid' in header) &&
    transport === undefined &&
    fixture === undefined &&
    env === undefined &&
    !mutate.includes('der-signature'),
);

const ofOtherFamilies = JWT_CASES.filter(
  ({ sign, transport, fixture }) =>
    !sign.startsWith('hs') && transport === undefined && fixture === undefined,
);

describe('tokens to a gateway that has the shared secret alone', () => {
  it('cover a good part of the corpus', () => {
    expect(hmacSigned.length).toBeGreaterThanOrEqual(8);
    expect(ofAnyFamily.length).toBeGreaterThanOrEqual(45);
    expect(ofOtherFamilies.length).toBeGreaterThanOrEqual(70);
  });

  it.each(named(hmacSigned))('%s', (_title, jwtCase) => expectAsSaid(jwtCase, jwtCase.sign));

  it.each(named(ofAnyFamily))('%s, signed with the secret', (_title, jwtCase) => expectAsSaid(jwtCase, 'hs'));

  it.each(named(ofOtherFamilies))('%s, refused: not HS256', async (_title, jwtCase) => {
    const clock = new ManualClock();
    const { forge, identity } = openAt(clock);
    expect(await statusOf(forge.build(jwtCase), clock, identity)).toBe(401);
  });
});

describe('the identity by a secret', () => {
  const header = (fields: Record<string, unknown>): JwtCase => ({ ...GOOD, header: fields });

  it.each([
    ['crit', { crit: ['exp2'], exp2: 1 }],
    ['an empty crit', { crit: [] }],
    ['an unencoded payload', { crit: ['b64'], b64: false }],
    ['another type of token', { typ: 'logout+jwt' }],
    ['a type that is no text', { typ: 7 }],
    ['the algorithm in small letters', { alg: 'hs256' }],
    ['a list of algorithms', { alg: ['HS256'] }],
    ['an algorithm of its own', { alg: 'constructor' }],
  ])('refuses a header with %s', async (_what, fields) => {
    const { forge, identity } = openAt(new ManualClock());
    const token = forge.build(header(fields));
    await expect(identity.verify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('never looks for a key where the header says', async () => {
    const { forge, identity } = openAt(new ManualClock());
    const places = { jku: 'http://127.0.0.1:1/', x5u: 'http://127.0.0.1:1/', jwk: { kty: 'oct', k: 'AA' } };
    expect((await identity.verify(forge.build(header(places)))).userId).toBe(USER);
    const forged = forge.build(header({ ...places, kid: '../../dev/null' }), 'attacker-hs');
    await expect(identity.verify(forged)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('takes any issuer when it knows of none', async () => {
    const { forge, identity } = openAt(new ManualClock(), null);
    for (const iss of ['https://other.supabase.co/auth/v1', null]) {
      expect((await identity.verify(forge.build({ ...GOOD, claims: { iss } }))).userId).toBe(USER);
    }
  });

  it('lets anonymous users in where that is wanted', async () => {
    const { forge, identity } = openAt(new ManualClock(), JWT_ISSUER, true);
    const token = forge.build({ ...GOOD, claims: { is_anonymous: true } });
    expect((await identity.verify(token)).userId).toBe(USER);
  });

  it('names clock skew in the log, once in a minute and without the token', async () => {
    const said: string[] = [];
    const note = (text: unknown) => said.push(String(text));
    Logger.overrideLogger({ log: note, error: note, warn: note, debug: note });
    const clock = new ManualClock();
    const { forge, identity } = openAt(clock);
    const at = (claims: Record<string, unknown>) => forge.build({ ...GOOD, claims });
    const refused = async (token: string) => {
      await expect(identity.verify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
      expect(said.join('\n')).not.toContain(token.split('.')[1]);
    };
    await refused(at({ iat: { $now: 120 } }));
    await refused(at({ nbf: { $now: 130 } }));
    expect(said).toEqual([expect.stringMatching(/^A token was refused that is 120 s ahead of .*clock skew/)]);
    clock.advance(60_000);
    await refused(at({ nbf: { $now: 190 } }));
    expect(said[1]).toContain('is 130 s ahead');
    await identity.verify(at({ iat: { $now: 65 } }));
    expect(said[2]).toContain('was taken that is 5 s ahead');
    await refused(at({ exp: { $now: 49 } }));
    expect(said[3]).toContain('ended 11 s ago');
    await refused(at({ exp: { $now: -3_600 } }));
    // Whoever does not have the key cannot write to the log.
    await refused(forge.build({ ...GOOD, claims: { iat: { $now: 500 } } }, 'attacker-hs'));
    expect(said).toHaveLength(4);
  });

  it('knows more users than it remembers', async () => {
    const { forge, identity } = openAt(new ManualClock());
    const tokens = Array.from({ length: 10_050 }, (_, i) =>
      forge.build({ ...GOOD, claims: { sub: `11111111-1111-4111-8111-${String(i).padStart(12, '0')}` } }),
    );
    for (const token of tokens) await identity.verify(token);
    const [first = ''] = tokens;
    expect((await identity.verify(first)).userId).toBe('11111111-1111-4111-8111-000000000000');
  });
});
