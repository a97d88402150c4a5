import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** One token of `test/corpora/jwt-cases.json`; the file's `meta` explains the notation. */
export interface JwtCase {
  readonly id: string;
  readonly group: string;
  readonly title: string;
  /** Which keys the gateway is configured with. */
  readonly mode: 'jwks' | 'legacy' | 'both';
  readonly sign: string;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly rawPayload?: string;
  readonly rawPayloadHex?: string;
  readonly rawPayloadTemplate?: string;
  readonly mutate?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly fixture?: Readonly<Record<string, unknown>>;
  readonly transport?: Readonly<Record<string, unknown>>;
  readonly repeat?: number;
  readonly maxMs?: number;
  readonly assert?: string;
  readonly expect: { readonly status: number; readonly or?: readonly number[] };
}

interface Corpus {
  readonly meta: {
    readonly issuer: string;
    readonly base: { readonly claims: Record<string, unknown> };
  };
  readonly cases: readonly JwtCase[];
}

const corpus = JSON.parse(
  readFileSync(new URL('../corpora/jwt-cases.json', import.meta.url), 'utf8'),
) as Corpus;

export const JWT_ISSUER = corpus.meta.issuer;
export const JWT_CASES = corpus.cases;

type Json = Record<string, unknown>;

interface Signer {
  readonly alg: string;
  readonly kid: string | undefined;
  readonly signature: (text: string) => Buffer;
}

/** Made once: an RSA key takes a good part of a second. */
const PAIRS = {
  es1: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  rs1: generateKeyPairSync('rsa', { modulusLength: 2_048 }),
  es2: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  attacker: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  attacker384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
};

/** Claims as a case has them: a value is meant as it is, and `undefined` deletes the claim. */
export function asCase(claims: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(claims).map(([name, value]) => [name, value === undefined ? null : { $json: value }]),
  );
}

/** The public part of a key pair of the corpus, as its issuer publishes it. */
export function publicJwk(name: 'es1' | 'rs1' | 'es2-standby'): Record<string, unknown> {
  const [pair, alg, kid] = {
    es1: [PAIRS.es1, 'ES256', 'es-1'] as const,
    rs1: [PAIRS.rs1, 'RS256', 'rs-1'] as const,
    'es2-standby': [PAIRS.es2, 'ES256', 'es-2'] as const,
  }[name];
  return { ...pair.publicKey.export({ format: 'jwk' }), alg, kid, use: 'sig', key_ops: ['verify'] };
}

/** Builds the tokens of the corpus at an instant, with keys of its own. */
export class JwtForge {
  readonly secret = Buffer.from('a legacy secret of the project, of 48 bytes and more');

  /**
   * @param nowMs the instant that `$now` is relative to.
   * @param issuer what `$ISS` stands for.
   */
  constructor(
    private readonly nowMs: number,
    private readonly issuer = JWT_ISSUER,
  ) {}

  /** The token of a case; `signer` signs it with another key than the case says. */
  build(jwtCase: JwtCase, signer = jwtCase.sign): string {
    const { alg, kid, signature } = this.signer(signer);
    const header = this.fields({ alg, typ: 'JWT', kid }, jwtCase.header ?? {});
    const parts = [Buffer.from(JSON.stringify(header)), this.payload(jwtCase)];
    const signed = parts.map((part) => part.toString('base64url')).join('.');
    const token = `${signed}.${signature(signed).toString('base64url')}`;
    return (jwtCase.mutate ?? []).reduce((text, mutation) => mutate(text, mutation), token);
  }

  private payload(jwtCase: JwtCase): Buffer {
    if (jwtCase.rawPayload !== undefined) return Buffer.from(jwtCase.rawPayload);
    if (jwtCase.rawPayloadHex !== undefined) return Buffer.from(jwtCase.rawPayloadHex, 'hex');
    const claims = jwtCase.claims ?? {};
    const only = claims.$only as Json | undefined;
    const json = JSON.stringify(only ? this.fields({}, only) : this.fields(corpus.meta.base.claims, claims));
    if (jwtCase.rawPayloadTemplate === 'dup-role') return Buffer.from(`{"role":"anon",${json.slice(1)}`);
    return Buffer.from(json);
  }

  private fields(base: Json, changes: Json): Json {
    const fields: Json = {};
    for (const [name, value] of Object.entries({ ...base, ...changes })) {
      if (value !== null) fields[name] = this.value(value);
    }
    return fields;
  }

  private value(value: unknown): unknown {
    if (typeof value === 'string') return value.replaceAll('$ISS', this.issuer);
    if (Array.isArray(value)) return value.map((item) => this.value(item));
    if (typeof value !== 'object' || value === null) return value;
    const json = value as Json;
    const seconds = Math.floor(this.nowMs / 1_000);
    if (typeof json.$now === 'number') return seconds + json.$now;
    if (typeof json.$nowMs === 'number') return this.nowMs + json.$nowMs;
    if (typeof json.$fill === 'number') return 'x'.repeat(json.$fill);
    if ('$json' in json) return json.$json;
    if ('$random' in json) return Math.random().toString(36);
    if ('$pub' in json) return PAIRS.attacker.publicKey.export({ format: 'jwk' });
    return Object.fromEntries(Object.entries(json).map(([name, item]) => [name, this.value(item)]));
  }

  private signer(name: string): Signer {
    const { es1, rs1, es2, attacker, attacker384 } = PAIRS;
    const signers: Record<string, () => Signer> = {
      none: () => ({ alg: 'none', kid: undefined, signature: () => Buffer.alloc(0) }),
      es1: () => ({ alg: 'ES256', kid: 'es-1', signature: ecdsa(es1.privateKey, 'sha256') }),
      'es2-standby': () => ({ alg: 'ES256', kid: 'es-2', signature: ecdsa(es2.privateKey, 'sha256') }),
      'attacker-es': () => ({ alg: 'ES256', kid: 'es-9', signature: ecdsa(attacker.privateKey, 'sha256') }),
      'es384-attacker': () => ({
        alg: 'ES384',
        kid: 'es-9',
        signature: ecdsa(attacker384.privateKey, 'sha384'),
      }),
      rs1: () => ({ alg: 'RS256', kid: 'rs-1', signature: rsa(rs1.privateKey, constants.RSA_PKCS1_PADDING) }),
      'ps256-rs1': () => ({
        alg: 'PS256',
        kid: 'rs-1',
        signature: rsa(rs1.privateKey, constants.RSA_PKCS1_PSS_PADDING),
      }),
      hs: () => ({ alg: 'HS256', kid: 'hs-1', signature: hmac('sha256', this.secret) }),
      'attacker-hs': () => ({
        alg: 'HS256',
        kid: 'hs-1',
        signature: hmac('sha256', 'a secret of somebody else, of 32 bytes and more'),
      }),
      hs512: () => ({ alg: 'HS512', kid: 'hs-1', signature: hmac('sha512', this.secret) }),
      'hs-empty': () => ({ alg: 'HS256', kid: 'hs-1', signature: hmac('sha256', '') }),
      'hs-rs1-pem': () => ({
        alg: 'HS256',
        kid: 'rs-1',
        signature: hmac('sha256', rs1.publicKey.export({ type: 'spki', format: 'pem' })),
      }),
      'hs-es1-der': () => ({
        alg: 'HS256',
        kid: 'es-1',
        signature: hmac('sha256', es1.publicKey.export({ type: 'spki', format: 'der' })),
      }),
      'hs-es1-jwk': () => ({
        alg: 'HS256',
        kid: 'es-1',
        signature: hmac('sha256', JSON.stringify(es1.publicKey.export({ format: 'jwk' }))),
      }),
    };
    const signer = signers[name];
    if (signer === undefined) throw new Error(`no signer is called ${name}`);
    return signer();
  }
}

const hmac = (hash: string, key: string | Buffer) => (text: string) =>
  createHmac(hash, key).update(text).digest();
const ecdsa = (key: KeyObject, hash: string) => (text: string) =>
  sign(hash, Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
const rsa = (key: KeyObject, padding: number) => (text: string) =>
  sign('sha256', Buffer.from(text), { key, padding, saltLength: 32 });

function mutate(token: string, mutation: string): string {
  const [header = '', payload = '', signature = ''] = token.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  const resigned = (changed: Buffer) => `${header}.${payload}.${changed.toString('base64url')}`;
  switch (mutation) {
    case 'keep-signature':
      return token;
    case 'flip-signature':
      return resigned(Buffer.from(bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte))));
    case 'zero-signature':
      return resigned(Buffer.alloc(bytes.length));
    case 'truncate-signature':
      return resigned(bytes.subarray(0, -8));
    case 'der-signature':
      return resigned(derOf(bytes));
    case 'swap-sub': {
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Json;
      const swapped = JSON.stringify({ ...claims, sub: '22222222-2222-4222-8222-222222222222' });
      return `${header}.${Buffer.from(swapped).toString('base64url')}.${signature}`;
    }
    case 'std-base64':
      return token.replaceAll('-', '+').replaceAll('_', '/');
    case 'append-segment':
      return `${token}.x`;
    case 'jwe-shape':
      return `${token}.x.x`;
    default:
      throw new Error(`no mutation is called ${mutation}`);
  }
}

/** An ECDSA signature as a DER sequence of two integers, as X.509 writes it and JWS does not. */
function derOf(signature: Buffer): Buffer {
  const half = signature.length / 2;
  const integers = [signature.subarray(0, half), signature.subarray(half)].map((integer) =>
    Buffer.concat([Buffer.from([2, integer.length + 1, 0]), integer]),
  );
  const body = Buffer.concat(integers);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}
