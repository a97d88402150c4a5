import { createSecretKey, type KeyObject } from 'node:crypto';
import { type CryptoKey } from 'jose';
import { invalidToken } from './access-token.js';

/** A key that may have signed a token. It is for one algorithm alone. */
export interface TokenKey {
  readonly alg: string;
  readonly key: CryptoKey | KeyObject;
}

/** What a token's header says about its signature. It picks among the keys that are trusted, and adds none. */
export interface SignatureHeader {
  readonly alg: string;
  readonly kid?: unknown;
}

/** The keys of one issuer, of one family or of several. */
export interface TokenKeys {
  /** The algorithms that a token's header may name. */
  readonly algorithms: readonly string[];
  /**
   * The key for a header that names one of {@link algorithms}.
   * @throws EuglenaError `unauthenticated` when there is none; `engine_unavailable` when nobody can tell.
   */
  find(header: SignatureHeader): Promise<TokenKey>;
  /** Whether a key that was found before is still one of the issuer's. */
  trusts(key: TokenKey): Promise<boolean>;
  /** Rejects while no key at all can be told. */
  ping(): Promise<void>;
}

/** One shared secret, for HS256 and nothing else. A `kid` says nothing about it: older tokens have none. */
export class SecretKeys implements TokenKeys {
  readonly algorithms = ['HS256'];
  private readonly key: TokenKey;

  /** `secret`: at least 32 bytes (RFC 7518, 3.2). */
  constructor(secret: Uint8Array) {
    this.key = { alg: 'HS256', key: createSecretKey(secret) };
  }

  async find(): Promise<TokenKey> {
    return this.key;
  }

  async trusts(key: TokenKey): Promise<boolean> {
    return key === this.key;
  }

  async ping(): Promise<void> {
    // The secret is in memory.
  }
}

/**
 * Families side by side, as while a project moves from a secret to key pairs. The algorithm decides which family is asked,
 * and none sees a token of another: a public key can never serve as a secret.
 */
export class KeyFamilies implements TokenKeys {
  readonly algorithms: readonly string[];

  constructor(private readonly families: readonly TokenKeys[]) {
    this.algorithms = families.flatMap(({ algorithms }) => algorithms);
  }

  async find(header: SignatureHeader): Promise<TokenKey> {
    return this.familyOf(header.alg).find(header);
  }

  async trusts(key: TokenKey): Promise<boolean> {
    return this.familyOf(key.alg).trusts(key);
  }

  /** Up as long as one family is: whose tokens are of that family must not be sent away for the others. */
  async ping(): Promise<void> {
    const pings = await Promise.allSettled(this.families.map((family) => family.ping()));
    const failure = pings.find(({ status }) => status === 'rejected');
    if (failure !== undefined && pings.every(({ status }) => status === 'rejected')) {
      throw (failure as PromiseRejectedResult).reason;
    }
  }

  private familyOf(alg: string): TokenKeys {
    const family = this.families.find(({ algorithms }) => algorithms.includes(alg));
    if (family === undefined) throw invalidToken();
    return family;
  }
}
