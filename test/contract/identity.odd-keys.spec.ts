import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from '@jest/globals';
import { JwksHarness } from './identity.jwks.harness.js';
import { publicJwk } from './identity.jwt-cases.js';

describe('in a set of keys with odd ones', () => {
  let h: JwksHarness;
  beforeEach(async () => {
    h = await JwksHarness.open();
  });
  afterEach(() => h.close());

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
    h.server.keySet.publish([key, publicJwk('es1'), publicJwk('rs1')]);
    await h.takes(h.token('es1'));
    await h.takes(h.token('rs1'));
  });

  it('the algorithm of a key counts: one for RS512 or ES384 verifies neither RS256 nor ES256', async () => {
    h.server.keySet.publish([
      { ...publicJwk('rs1'), alg: 'RS512' },
      { ...publicJwk('es1'), alg: 'ES384' },
    ]);
    await h.refuses(h.token('rs1'));
    await h.refuses(h.token('es1'));
  });

  it('a key without an algorithm is for the one of its family', async () => {
    h.server.keySet.publish([publicJwk('rs1'), publicJwk('es1')].map((key) => ({ ...key, alg: undefined })));
    await h.takes(h.token('rs1'));
    await h.takes(h.token('es1'));
    await h.refuses(h.token('ps256-rs1'));
  });

  it('keys of both families may have the same name', async () => {
    h.server.keySet.publish([publicJwk('rs1'), publicJwk('es1')].map((key) => ({ ...key, kid: 'same' })));
    await h.takes(h.token('rs1', { kid: 'same' }));
    await h.takes(h.token('es1', { kid: 'same' }));
  });

  it('a token without kid is for the only key of its algorithm, and for none of two', async () => {
    await h.takes(h.token('es1', { kid: null }));
    await h.takes(h.token('rs1', { kid: null }));
    h.server.keySet.publish([publicJwk('es1'), publicJwk('es2-standby')]);
    h.clock.advance(10 * 60_000);
    await h.refuses(h.token('es1', { kid: null }));
  });

  it('no key at all is an answer: the issuer signs with a secret', async () => {
    h.server.keySet.publish([]);
    await h.refuses(h.token('es1'));
    await h.identity.ping();
  });
});
