import { Pool } from 'undici';

const OPENAI_URL = 'https://api.openai.com/v1';
const RESPONSE_MAX_BYTES = 1_048_576;
/** Between two parts of an answer that has begun, in ms. */
const IDLE_TIMEOUT_MS = 20_000;

/** What an endpoint answered, unread: its body may be anything. */
export interface EndpointAnswer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly text: string;
}

/**
 * `POST /chat/completions` of OpenAI's protocol, over kept connections. Redirects are not followed: the key goes to the
 * configured address alone. An answer of more than 1 MiB is not read to its end.
 */
export class ChatEndpoint {
  private readonly pool: Pool;
  private readonly path: string;
  private readonly headers: Record<string, string>;

  /** `apiUrl`: base URL, null for OpenAI's own; `apiKey`: null for endpoints that ask for none. */
  constructor(apiUrl: string | null, apiKey: string | null) {
    const { origin, pathname, search } = new URL(apiUrl ?? OPENAI_URL);
    this.path = `${pathname.replace(/\/+$/, '')}/chat/completions${search}`;
    this.pool = new Pool(origin, {
      bodyTimeout: IDLE_TIMEOUT_MS,
      maxResponseSize: RESPONSE_MAX_BYTES,
    });
    this.headers = {
      accept: 'application/json',
      'accept-encoding': 'identity',
      'content-type': 'application/json',
      'user-agent': 'Euglena',
      ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
    };
  }

  /** Rejects when there is no whole answer, and when the signal aborts: how long it may take is for the caller to say. */
  async ask(body: object, signal: AbortSignal): Promise<EndpointAnswer> {
    const answer = await this.pool.request({
      method: 'POST',
      path: this.path,
      headers: this.headers,
      body: JSON.stringify(body),
      signal,
    });
    const retryAfter = answer.headers['retry-after'];
    return {
      status: answer.statusCode,
      retryAfter: typeof retryAfter === 'string' ? retryAfter : null,
      text: await answer.body.text(),
    };
  }

  async close(): Promise<void> {
    await this.pool.destroy();
  }
}
