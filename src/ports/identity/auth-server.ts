import { Agent, request } from 'undici';
import { EuglenaError } from '../../domain/errors.js';
import { isInstant, issuerOf } from './access-token.js';

/** How long the whole of an answer may take, in ms. */
const PATIENCE_MS = 5_000;
const KEYS_MAX_BYTES = 65_536;
const USER_MAX_BYTES = 262_144;
const CONNECTIONS_MAX = 32;

/** What the Auth server says of the user who holds a token. `gone`: of no session any more. */
export type Standing = 'confirmed' | 'unconfirmed' | 'gone';

export interface AuthServerOptions {
  /** The project's address, `SUPABASE_URL`. */
  readonly url: string;
  /** `SUPABASE_ANON_KEY`: a hosted project answers only who sends it. */
  readonly anonKey: string | null;
  readonly patienceMs?: number;
}

interface Answer {
  readonly status: number;
  /** Undefined when the body is no JSON. */
  readonly body: unknown;
}

/**
 * Supabase Auth of one project, over HTTP. Every call is bounded in time and size, follows no redirect, is made once, and
 * rejects with EuglenaError `engine_unavailable` when it brings nothing of use. Errors hold neither token nor key.
 */
export class AuthServer {
  readonly issuer: string;
  private readonly patienceMs: number;
  private readonly agent: Agent;
  private readonly closing = new AbortController();

  constructor(private readonly options: AuthServerOptions) {
    this.issuer = issuerOf(options.url);
    this.patienceMs = options.patienceMs ?? PATIENCE_MS;
    this.agent = new Agent({ connections: CONNECTIONS_MAX, connect: { timeout: this.patienceMs } });
  }

  /** The project's public signing keys, as it publishes them. */
  async keySet(): Promise<unknown> {
    const { status, body } = await this.get('/.well-known/jwks.json', {}, KEYS_MAX_BYTES);
    if (status !== 200) throw this.useless('the signing keys', `HTTP ${status}`);
    if (body === undefined) throw this.useless('the signing keys', 'something that is not JSON');
    return body;
  }

  /** What is known of the user who holds a token whose signature is good. */
  async standing(token: string): Promise<Standing> {
    const answer = await this.get('/user', { authorization: `Bearer ${token}` }, USER_MAX_BYTES);
    if (answer.status === 200 && typeof answer.body === 'object' && answer.body !== null) {
      const user = answer.body as Record<string, unknown>;
      const dates = [user.email_confirmed_at, user.phone_confirmed_at, user.confirmed_at];
      return dates.some(isInstant) ? 'confirmed' : 'unconfirmed';
    }
    if (refusesToken(answer)) return 'gone';
    throw this.useless('the user', `HTTP ${answer.status}`);
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.agent.destroy();
  }

  private async get(path: string, headers: Record<string, string>, maxBytes: number): Promise<Answer> {
    const { anonKey } = this.options;
    const late = AbortSignal.timeout(this.patienceMs);
    try {
      const { statusCode, body } = await request(`${this.issuer}${path}`, {
        dispatcher: this.agent,
        headers: { accept: 'application/json', ...(anonKey === null ? {} : { apikey: anonKey }), ...headers },
        signal: AbortSignal.any([late, this.closing.signal]),
      });
      return { status: statusCode, body: parsed(await readAtMost(body, maxBytes)) };
    } catch (error) {
      if (late.aborted) throw this.useless(path, `nothing in ${this.patienceMs} ms`);
      throw error instanceof TooLong
        ? this.useless(path, `more than ${maxBytes} bytes`)
        : new EuglenaError('engine_unavailable', `${this.issuer} cannot be reached (${reasonOf(error)}).`);
    }
  }

  private useless(what: string, answer: string): EuglenaError {
    return new EuglenaError('engine_unavailable', `${this.issuer} answers ${answer} when asked for ${what}.`);
  }
}

class TooLong extends Error {}

async function readAtMost(body: AsyncIterable<Buffer>, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop by a throw destroys the body, and with it the connection.
  for await (const chunk of body) {
    length += chunk.byteLength;
    if (length > maxBytes) throw new TooLong();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * Whether the Auth server itself refused the token: the session was ended, the user deleted or banned. The proxy in front
 * of it uses the same statuses for a missing API key and an unknown path, which are no fault of the user.
 */
function refusesToken({ status, body }: Answer): boolean {
  if (status !== 401 && status !== 403 && status !== 404) return false;
  const said = Object(body) as Record<string, unknown>;
  if (typeof said.error_code === 'string' || typeof said.msg === 'string') return true;
  return status !== 404 && !/api[ _-]?key/i.test(typeof said.message === 'string' ? said.message : '');
}

/** The code of a network error; the error itself may hold the request, and with it the token. */
function reasonOf(error: unknown): string {
  const { code, cause } = Object(error) as { code?: unknown; cause?: { code?: unknown } };
  return [code, cause?.code].find((one) => typeof one === 'string') ?? 'no reason given';
}
