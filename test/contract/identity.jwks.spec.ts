import { createHash, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { AuthServer } from '../../src/ports/identity/auth-server.js';
import { JwksKeys } from '../../src/ports/identity/jwks-keys.js';
import { TokenIdentity } from '../../src/ports/identity/token-identity.js';
import { eventually } from '../support/eventually.js';
import { ManualClock } from '../support/manual-clock.js';
import {
  type AuthAnswer,
  startSupabaseAuthServer,
  type SupabaseAuthServer,
} from '../support/supabase-auth-server.js';
import { USER } from './identity.contract.js';
import { type JwtCase, JwtForge, publicJwk } from './identity.jwt-cases.js';

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 3_600_000;
const UNAUTHENTICATED = { name: 'EuglenaError', code: 'unauthenticated' };
const UNAVAILABLE = { name: 'EuglenaError', code: 'engine_unavailable' };

describe('the published keys of an issuer', () => {
  const said: string[] = [];
  let clock: ManualClock;
  let server: SupabaseAuthServer;
  let auth: AuthServer;
  let identity: TokenIdentity;
  beforeEach(async () => {
    said.length = 0;
    const note = (text: unknown) => said.push(String(text));
    Logger.overrideLogger({ log: note, warn: note, error: note });
    clock = new ManualClock();
    server = await startSupabaseAuthServer([publicJwk('es1'), publicJwk('rs1')]);
    identity = open();
  });
  afterEach(async () => {
    await identity.close();
    await server.close();
  });

  function open(url = server.url, patienceMs = 5_000): TokenIdentity {
    auth = new AuthServer({ url, anonKey: 'the-anon-key', patienceMs });
    const keys = new JwksKeys(() => auth.keySet(), clock);
    return new TokenIdentity({ keys, issuer: server.issuer, clock, close: () => auth.close() });
  }

  /** For the tests that wait until it has no more patience. */
  async function openImpatient(): Promise<void> {
    await identity.close();
    identity = open(server.url, 1_000);
  }

  /** A token that is good for two days; each is another one. */
  let count = 0;
  function token(sign: string, header: Record<string, unknown> = {}): string {
    count += 1;
    const claims = { exp: { $now: 48 * 3_600 }, jti: String(count) };
    const jwtCase: JwtCase = {
      id: '',
      group: '',
      title: '',
      mode: 'jwks',
      sign,
      header,
      claims,
      expect: { status: 200 },
    };
    return new JwtForge(clock.now(), server.issuer).build(jwtCase);
  }

  const fetches = () => server.keySet.requests.length;
  const takes = async (one: string) => expect((await identity.verify(one)).userId).toBe(USER);
  const refuses = (one: string) => expect(identity.verify(one)).rejects.toMatchObject(UNAUTHENTICATED);
  const cannotTell = (one: string) => expect(identity.verify(one)).rejects.toMatchObject(UNAVAILABLE);
  const stranger = () => token('attacker-es', { kid: `kid-${count}` });

  describe('while the issuer answers', () => {
    it('are fetched once, with the anon key, for however many tokens come at once', async () => {
      server.keySet.answer('hold');
      const all = Array.from({ length: 50 }, () => identity.verify(token('es1')));
      await eventually('the fetch', () => fetches() === 1);
      server.keySet.publish([publicJwk('es1')]);
      expect(await Promise.all(all)).toHaveLength(50);
      await takes(token('es1'));
      expect(server.keySet.requests.map(({ apikey }) => apikey)).toEqual(['the-anon-key']);
    });

    it('are fetched anew in the background after 5 minutes: nobody waits', async () => {
      await takes(token('es1'));
      clock.advance(5 * MINUTE);
      server.keySet.answer('hold');
      for (let time = 0; time < 5; time += 1) await takes(token('es1'));
      await eventually('the fetch', () => fetches() === 2);
      server.keySet.publish([publicJwk('es1')]);
      const withdrawn = token('rs1');
      await eventually('the new set', () =>
        identity.verify(withdrawn).then(
          () => false,
          () => true,
        ),
      );
    });

    it('follow a rotation: a new key is known after one fetch, and the old one stays as long as it is published', async () => {
      const [old, other] = [token('es1'), token('es1')];
      await takes(old);
      server.keySet.publish([publicJwk('es1'), publicJwk('es2-standby')]);
      await takes(token('es2-standby'));
      expect(fetches()).toBe(2);
      await takes(old);
      await takes(other);
      await takes(token('es2-standby'));
      expect(fetches()).toBe(2);
    });

    it('no longer hold a withdrawn key after 10 minutes, also for a token that was good before', async () => {
      const [seen, unseen] = [token('es1'), token('es1')];
      await takes(seen);
      server.keySet.publish([publicJwk('es2-standby')]);
      clock.advance(10 * MINUTE);
      await refuses(seen);
      await refuses(unseen);
      await takes(token('es2-standby'));
      // The old key is an unknown one now, and may ask once.
      expect(fetches()).toBe(3);
    });

    it('keep tokens that were good before good over a fetch', async () => {
      const seen = token('es1');
      for (let time = 0; time < 5; time += 1) {
        await takes(seen);
        clock.advance(11 * MINUTE);
      }
      expect(fetches()).toBe(5);
    });

    it('are not asked again by a flood of unknown keys: once in 30 seconds', async () => {
      await takes(token('es1'));
      const flood = async () => {
        await Promise.all(Array.from({ length: 300 }, () => refuses(stranger())));
        for (let time = 0; time < 50; time += 1) await refuses(stranger());
      };
      await flood();
      expect(fetches()).toBe(2);
      clock.advance(29 * SECOND);
      await flood();
      expect(fetches()).toBe(2);
      clock.advance(SECOND);
      await flood();
      expect(fetches()).toBe(3);
      await takes(token('es1'));
    });

    it('are fetched once when the first token of all has an unknown key', async () => {
      await refuses(stranger());
      expect(fetches()).toBe(1);
    });

    it.each([
      ['a kid that is no text', 'es1', { kid: 7 }],
      ['an endless kid', 'es1', { kid: 'k'.repeat(257) }],
      ['another algorithm', 'hs', {}],
      ['no algorithm', 'none', { alg: 'none' }],
      ['an unknown extension', 'es1', { crit: ['x'], x: 1 }],
    ])('are not asked for a token with %s', async (_what, sign, header) => {
      await refuses(token(sign, header));
      expect(fetches()).toBe(0);
    });

    it('are never looked for where a token says', async () => {
      const places = { jku: `${server.url}/evil`, x5u: `${server.url}/evil`, jwk: publicJwk('es1') };
      await takes(token('es1', places));
      await refuses(token('attacker-es', { ...places, kid: 'es-1' }));
      expect(server.others).toEqual([]);
    });
  });

  describe('while the issuer does not answer', () => {
    it('go on to be known for 24 hours, and unknown ones are refused', async () => {
      const seen = token('es1');
      await takes(seen);
      server.keySet.answer('down');
      for (const time of [6 * MINUTE, 5 * MINUTE, HOUR, 22 * HOUR]) {
        clock.advance(time);
        await takes(seen);
        await takes(token('rs1'));
        await refuses(stranger());
        await identity.ping();
      }
      clock.advance(HOUR);
      await cannotTell(seen);
      await cannotTell(token('es1'));
      await expect(identity.ping()).rejects.toMatchObject(UNAVAILABLE);
      expect(
        said.filter((text) => text.includes('The known signing keys are used until 2026-01-16T12:00')),
      ).toHaveLength(1);
    });

    it('make nobody wait once that is known', async () => {
      await openImpatient();
      await takes(token('es1'));
      clock.advance(11 * MINUTE);
      server.keySet.answer('hold');
      await takes(token('es1'));
      const asked = fetches();
      const started = performance.now();
      for (let time = 0; time < 100; time += 1) await takes(token('es1'));
      expect(performance.now() - started).toBeLessThan(4_000);
      expect(fetches()).toBeLessThanOrEqual(asked + 1);
    });

    it('are known again when it is back', async () => {
      await takes(token('es1'));
      server.keySet.answer('down');
      clock.advance(11 * MINUTE);
      await takes(token('es1'));
      server.keySet.publish([publicJwk('es2-standby')]);
      clock.advance(2 * MINUTE);
      await refuses(token('es1'));
      await takes(token('es2-standby'));
      expect(said).toContain('The signing keys can be fetched again.');
    });

    it('cannot be told from nothing: 503, one fetch at a time, one in a second, and good at once when it is back', async () => {
      server.keySet.answer('down');
      await Promise.all(Array.from({ length: 100 }, () => cannotTell(token('es1'))));
      expect(fetches()).toBe(1);
      await expect(identity.ping()).rejects.toMatchObject(UNAVAILABLE);
      await cannotTell(stranger());
      expect(fetches()).toBe(1);
      server.keySet.publish([publicJwk('es1')]);
      clock.advance(SECOND);
      await takes(token('es1'));
      await identity.ping();
      expect(fetches()).toBe(2);
    });

    it('cannot be told when nobody listens there', async () => {
      const taken = createServer().listen(0, '127.0.0.1');
      await once(taken, 'listening');
      const { port } = taken.address() as { port: number };
      taken.close();
      await once(taken, 'close');
      await identity.close();
      identity = open(`http://127.0.0.1:${port}`);
      await cannotTell(token('es1'));
    });

    it.each<[string, AuthAnswer]>([
      ['nothing', 'hold'],
      ['a broken connection', 'down'],
      ['a drip', 'slow'],
      ['an error', { status: 500, body: { keys: [] } }],
      ['a page', { body: '<html></html>', headers: { 'content-type': 'text/html' } }],
      ['a redirect', { status: 302, headers: { location: '/elsewhere' }, body: { keys: [] } }],
      ['null', { body: 'null' }],
      ['a list', { body: [] }],
      ['no keys', { body: { key: [] } }],
      ['keys that are no list', { body: { keys: {} } }],
      ['more than 50 keys', { body: { keys: Array.from({ length: 51 }, () => publicJwk('es1')) } }],
      ['more than 64 KiB', { body: { keys: [publicJwk('es1')], more: 'x'.repeat(65_536) } }],
    ])('cannot be told when it answers %s, within its patience', async (_what, answer) => {
      await openImpatient();
      server.keySet.answer(answer);
      const started = performance.now();
      await cannotTell(token('es1'));
      expect(performance.now() - started).toBeLessThan(4_000);
      expect(server.others).toEqual([]);
    });

    it('are asked for no longer when the identity closes', async () => {
      server.keySet.answer('hold');
      await identity.close();
      identity = open(server.url, 60_000);
      const waiting = cannotTell(token('es1'));
      await eventually('the fetch', () => fetches() === 1);
      await identity.close();
      await waiting;
    });

    it('are not younger when the clock is set back', async () => {
      await takes(token('es1'));
      clock.advance(-HOUR);
      server.keySet.publish([publicJwk('es2-standby')]);
      await refuses(token('es1'));
      await takes(token('es2-standby'));
    });
  });

  describe('in a set with odd ones', () => {
    const { d, ...ec } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      format: 'jwk',
    });
    const short = generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey.export({ format: 'jwk' });
    const odd: [string, unknown][] = [
      ['nothing', null],
      ['a text', 'key'],
      ['a secret', { kty: 'oct', k: 'AAAA', kid: 'es-1', alg: 'HS256' }],
      ['a private key', { ...ec, d, kid: 'es-1' }],
      ['a point off the curve', { ...ec, y: ec.x, kid: 'es-1' }],
      ['another curve', { ...ec, crv: 'P-384', kid: 'es-1' }],
      ['an encryption key', { ...ec, use: 'enc', kid: 'es-1' }],
      ['a key that may not verify', { ...ec, key_ops: ['sign'], kid: 'es-1' }],
      ['a key of another algorithm', { ...publicJwk('rs1'), alg: 'RS512', kid: 'es-1' }],
      ['a short RSA key', { ...short, kid: 'rs-1' }],
      ['an RSA key that is none', { kty: 'RSA', n: '', e: 'AQAB', kid: 'rs-1' }],
      ['another kid', { ...ec, kid: 7 }],
      ['another kind', { kty: 'OKP', crv: 'Ed25519', x: 'AAAA', kid: 'es-1' }],
    ];

    it.each(odd)('%s is passed over', async (_what, key) => {
      server.keySet.publish([key, publicJwk('es1'), publicJwk('rs1')]);
      await takes(token('es1'));
      await takes(token('rs1'));
    });

    it('the algorithm of a key counts: one for RS512 or ES384 verifies neither RS256 nor ES256', async () => {
      server.keySet.publish([
        { ...publicJwk('rs1'), alg: 'RS512' },
        { ...publicJwk('es1'), alg: 'ES384' },
      ]);
      await refuses(token('rs1'));
      await refuses(token('es1'));
    });

    it('a key without an algorithm is for the one of its family', async () => {
      server.keySet.publish([publicJwk('rs1'), publicJwk('es1')].map((key) => ({ ...key, alg: undefined })));
      await takes(token('rs1'));
      await takes(token('es1'));
      await refuses(token('ps256-rs1'));
    });

    it('keys of both families may have the same name', async () => {
      server.keySet.publish([publicJwk('rs1'), publicJwk('es1')].map((key) => ({ ...key, kid: 'same' })));
      await takes(token('rs1', { kid: 'same' }));
      await takes(token('es1', { kid: 'same' }));
    });

    it('a token without kid is for the only key of its algorithm, and for none of two', async () => {
      await takes(token('es1', { kid: null }));
      await takes(token('rs1', { kid: null }));
      server.keySet.publish([publicJwk('es1'), publicJwk('es2-standby')]);
      clock.advance(10 * MINUTE);
      await refuses(token('es1', { kid: null }));
    });

    it('no key at all is an answer: the issuer signs with a secret', async () => {
      server.keySet.publish([]);
      await refuses(token('es1'));
      await identity.ping();
    });
  });

  it('are said to be missing without a word of the token or the anon key', async () => {
    server.keySet.answer({ status: 500, body: 'no' });
    const one = token('es1');
    const error: Error = await identity.verify(one).then(
      () => new Error('taken'),
      (reason: Error) => reason,
    );
    const everything = [error.message, error.stack, JSON.stringify(error.cause), ...said].join('\n');
    expect(everything).toContain('HTTP 500');
    for (const secret of [
      'the-anon-key',
      one,
      one.split('.')[2] ?? '',
      createHash('sha256').update(one).digest('hex'),
    ]) {
      expect(everything).not.toContain(secret);
    }
  });
});
