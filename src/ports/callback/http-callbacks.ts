import { Agent, buildConnector, request } from 'undici';
import { CALLBACK_URL_MAX_CHARS, type CallbackFailure } from '../../domain/callback.js';
import { type Clock } from '../../domain/clock.js';
import { checkUrl } from '../page-reader/address-guard.js';
import { guardedConnector, resolveBySystem, type Resolve } from '../page-reader/guarded-connector.js';
import { explain } from '../page-reader/http-failure.js';
import { PageFailure } from '../page-reader/page-reader.port.js';
import { signedHeaders, signingKey } from './callback-signature.js';
import { type CallbackMessage, type Callbacks } from './callback.port.js';

export interface HttpCallbacksOptions {
  /** Of which the users' secrets are made; null: callbacks are off. */
  readonly master: Uint8Array | null;
  readonly userAgent: string;
  readonly clock: Clock;
  /** For one attempt. Default 15,000. */
  readonly timeoutMs?: number;
  /** Names to addresses. Default: the system's resolver. */
  readonly resolve?: Resolve;
  /** Opens a socket to an address that was checked. Default: the network. */
  readonly dial?: buildConnector.connector;
}

const TIMEOUT_MS = 15_000;
/** Of an answer's headers. Its body is not read. */
const HEADER_MAX_BYTES = 16_384;
/** By which a receiver says that it wants no more (Standard Webhooks). */
const GONE = 410;

/** Sends callbacks over HTTPS, to public addresses only, redirects not followed. */
export class HttpCallbacks implements Callbacks {
  private readonly agent: Agent;
  private readonly timeoutMs: number;

  constructor(private readonly options: HttpCallbacksOptions) {
    this.timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const dial = options.dial ?? buildConnector({ timeout: 5_000 });
    this.agent = new Agent({
      connect: guardedConnector(options.resolve ?? resolveBySystem, dial),
      // No connection outlives its request, so that every request dials an address that was just checked.
      pipelining: 0,
      maxHeaderSize: HEADER_MAX_BYTES,
      headersTimeout: this.timeoutMs,
      bodyTimeout: this.timeoutMs,
    });
  }

  refusal(url: string): string | null {
    if (this.options.master === null) return 'is not possible: this server has no CALLBACK_SECRET';
    if (url.length > CALLBACK_URL_MAX_CHARS) return `must have at most ${CALLBACK_URL_MAX_CHARS} characters`;
    try {
      return checkUrl(url).protocol === 'https:' ? null : 'must be an https address';
    } catch (error) {
      return error instanceof PageFailure
        ? `must be a public https address: ${error.message}`
        : 'is no address';
    }
  }

  secretOf(owner: string): string | null {
    const { master } = this.options;
    return master === null ? null : `whsec_${signingKey(master, owner).toString('base64')}`;
  }

  async send(message: CallbackMessage): Promise<CallbackFailure> {
    const { master } = this.options;
    const refusal = this.refusal(message.url);
    if (refusal !== null || master === null) return { reason: `The address ${refusal}.`, final: true };
    const late = AbortSignal.timeout(this.timeoutMs);
    try {
      return failureOf(await this.post(message, signingKey(master, message.owner), late));
    } catch (error) {
      if (late.aborted) return { reason: `No answer within ${this.timeoutMs / 1_000} s.`, final: false };
      return { reason: error instanceof PageFailure ? error.message : explain(error), final: false };
    }
  }

  close(): Promise<void> {
    return this.agent.destroyed ? Promise.resolve() : this.agent.destroy();
  }

  /** The status of the answer. */
  private async post(message: CallbackMessage, key: Buffer, signal: AbortSignal): Promise<number> {
    const { statusCode, body } = await request(checkUrl(message.url), {
      dispatcher: this.agent,
      method: 'POST',
      signal,
      headers: {
        'content-type': 'application/json',
        'user-agent': this.options.userAgent,
        ...signedHeaders(key, message, this.options.clock.now()),
      },
      body: message.body,
    });
    // Drops the connection rather than reading what nobody wants.
    body.on('error', () => undefined).destroy();
    return statusCode;
  }
}

function failureOf(status: number): CallbackFailure {
  if (status >= 200 && status <= 299) return null;
  return { reason: `The receiver answered ${status}.`, final: status === GONE };
}
