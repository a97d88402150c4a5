import { expect } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { AuthServer } from '../../src/ports/identity/auth-server.js';
import { JwksKeys } from '../../src/ports/identity/jwks-keys.js';
import { TokenIdentity } from '../../src/ports/identity/token-identity.js';
import { ManualClock } from '../support/manual-clock.js';
import { startSupabaseAuthServer, type SupabaseAuthServer } from '../support/supabase-auth-server.js';
import { USER } from './identity.contract.js';
import { type JwtCase, JwtForge, publicJwk } from './identity.jwt-cases.js';

const PATIENCE_MS = 5_000;

/** An identity by the published keys of an issuer, the issuer, and the time between them. */
export class JwksHarness {
  readonly clock = new ManualClock();
  /** All that was logged. */
  readonly said: string[] = [];
  identity: TokenIdentity;
  private tokens = 0;

  private constructor(readonly server: SupabaseAuthServer) {
    const note = (text: unknown) => this.said.push(String(text));
    Logger.overrideLogger({ log: note, warn: note, error: note });
    this.identity = this.newIdentity(server.url, PATIENCE_MS);
  }

  static async open(): Promise<JwksHarness> {
    return new JwksHarness(await startSupabaseAuthServer([publicJwk('es1'), publicJwk('rs1')]));
  }

  /** Another identity, that knows nothing yet. */
  async reopen({ url = this.server.url, patienceMs = PATIENCE_MS }): Promise<void> {
    await this.identity.close();
    this.identity = this.newIdentity(url, patienceMs);
  }

  async close(): Promise<void> {
    await this.identity.close();
    await this.server.close();
  }

  /** A token that is good for two days; each is another one. */
  token(sign: string, header: Record<string, unknown> = {}): string {
    this.tokens += 1;
    const claims = { exp: { $now: 48 * 3_600 }, jti: String(this.tokens) };
    const about = { id: '', group: '', title: '', mode: 'jwks' as const, expect: { status: 200 } };
    const jwtCase: JwtCase = { ...about, sign, header, claims };
    return new JwtForge(this.clock.now(), this.server.issuer).build(jwtCase);
  }

  /** A token by a key that nobody knows; each by another one. */
  stranger(): string {
    return this.token('attacker-es', { kid: `kid-${this.tokens}` });
  }

  /** How often the keys were fetched. */
  fetches(): number {
    return this.server.keySet.requests.length;
  }

  async takes(token: string): Promise<void> {
    expect((await this.identity.verify(token)).userId).toBe(USER);
  }

  refuses(token: string): Promise<void> {
    return this.rejects(token, 'unauthenticated');
  }

  cannotTell(token: string): Promise<void> {
    return this.rejects(token, 'engine_unavailable');
  }

  private rejects(token: string, code: string): Promise<void> {
    return expect(this.identity.verify(token)).rejects.toMatchObject({ name: 'EuglenaError', code });
  }

  private newIdentity(url: string, patienceMs: number): TokenIdentity {
    const auth = new AuthServer({ url, anonKey: 'the-anon-key', patienceMs });
    const keys = new JwksKeys(() => auth.keySet(), this.clock);
    return new TokenIdentity({
      keys,
      issuer: this.server.issuer,
      clock: this.clock,
      close: () => auth.close(),
    });
  }
}
