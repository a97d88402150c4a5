import { type CryptoKey, importJWK } from 'jose';
import { z } from 'zod';
import { EuglenaError } from '../../domain/errors.js';
import { type TokenKey } from './token-keys.js';

/** Longest name of a key, in characters. */
export const KID_MAX_CHARS = 256;
/** Keys in one set at most. A project has a handful: one in use, one that stands by, a few that were. */
const KEYS_MAX = 50;
const RSA_MIN_BITS = 2_048;

/** A public key of an issuer. */
export interface PublicKey extends TokenKey {
  readonly kid: string | undefined;
  /** The key itself, as text: two keys are the same if these are. */
  readonly material: string;
}

const number = (maxChars: number) =>
  z
    .string()
    .regex(/^[\w-]+$/)
    .max(maxChars);
const common = {
  kid: z.string().min(1).max(KID_MAX_CHARS).optional(),
  use: z.literal('sig').optional(),
  key_ops: z
    .array(z.string())
    .refine((operations) => operations.includes('verify'))
    .optional(),
  // Whoever publishes the private part has no secret left.
  d: z.undefined().optional(),
};
/** What is of use here: a public key for one of the two algorithms, whose own `alg`, if given, is that algorithm. */
const jwk = z.discriminatedUnion('kty', [
  z.object({
    kty: z.literal('EC'),
    alg: z.literal('ES256').default('ES256'),
    crv: z.literal('P-256'),
    x: number(43),
    y: number(43),
    ...common,
  }),
  // Up to 8,192 bits.
  z.object({
    kty: z.literal('RSA'),
    alg: z.literal('RS256').default('RS256'),
    n: number(1_366),
    e: number(6),
    ...common,
  }),
]);
const jwkSet = z.object({ keys: z.array(z.unknown()).max(KEYS_MAX) });

export const PUBLIC_KEY_ALGORITHMS = ['ES256', 'RS256'] as const;

/**
 * The usable keys of a JSON Web Key Set (RFC 7517). What is in it besides is passed over: RFC 7517, 5. A key that is also
 * among `known` stays the same object.
 * @throws EuglenaError `engine_unavailable` when the document is no key set.
 */
export async function readPublicKeys(document: unknown, known: readonly PublicKey[]): Promise<PublicKey[]> {
  const set = jwkSet.safeParse(document);
  if (!set.success) {
    throw new EuglenaError(
      'engine_unavailable',
      `The issuer's answer is no set of at most ${KEYS_MAX} keys.`,
    );
  }
  const keys = await Promise.all(set.data.keys.map((candidate) => readKey(candidate, known)));
  return keys.filter((key) => key !== null);
}

async function readKey(candidate: unknown, known: readonly PublicKey[]): Promise<PublicKey | null> {
  const parsed = jwk.safeParse(candidate);
  if (!parsed.success) return null;
  const { kid, alg } = parsed.data;
  const numbers =
    parsed.data.kty === 'EC'
      ? { kty: 'EC', crv: parsed.data.crv, x: parsed.data.x, y: parsed.data.y }
      : { kty: 'RSA', n: parsed.data.n, e: parsed.data.e };
  const material = JSON.stringify(numbers);
  const before = known.find((key) => key.kid === kid && key.material === material);
  if (before !== undefined) return before;
  try {
    const key = await importJWK(numbers, alg);
    if (key instanceof Uint8Array || isShort(key)) return null;
    return { kid, alg, key, material };
  } catch {
    // A point off the curve, a modulus that is none.
    return null;
  }
}

function isShort({ algorithm }: CryptoKey): boolean {
  return 'modulusLength' in algorithm && Number(algorithm.modulusLength) < RSA_MIN_BITS;
}
