import { Logger } from '@nestjs/common';
import OpenAI, { APIError } from 'openai';
import { Agent } from 'undici';
import { type Clock } from '../../domain/clock.js';
import { EuglenaError } from '../../domain/errors.js';
import {
  type Completion,
  readCompletion,
  REPLY_FORMATS,
  type ReplyFormat,
  responseFormat,
} from './chat-completion.js';
import { type LanguageModel, type ModelReply, type ModelRequest } from './language-model.port.js';
import { retryAfterMs, retryHelps, retryWait } from './model-retry.js';
import { undiciFetch } from './undici-fetch.js';

export interface ModelEndpoint {
  /** Base URL of an OpenAI-compatible API; null: OpenAI's own. */
  readonly apiUrl: string | null;
  /** Null for endpoints that ask for none. */
  readonly apiKey: string | null;
  readonly name: string;
}

const OPENAI_URL = 'https://api.openai.com/v1';
const RESPONSE_MAX_BYTES = 1_048_576;
const TRIES = 5;
const CALL_TIMEOUT_MS = 120_000;
/** Between two parts of a response that has begun. */
const IDLE_TIMEOUT_MS = 20_000;
/** For one decision, with all its tries and waits. */
const TOTAL_BUDGET_MS = 180_000;

type Attempt =
  | { readonly kind: 'answer'; readonly completion: Completion }
  /** `what` is for the log and the user: a status, never the endpoint's own words. */
  | { readonly kind: 'failed'; readonly what: string; readonly toldMs: number | null }
  | { readonly kind: 'rejected'; readonly status: number; readonly formatMayBeWhy: boolean };

/** A model behind OpenAI's chat completions protocol: OpenAI itself, vLLM, Ollama, llama.cpp, LM Studio and the like. */
export class OpenAiLanguageModel implements LanguageModel {
  readonly name: string;
  private readonly log = new Logger('LanguageModel');
  private readonly agent = new Agent({ headersTimeout: CALL_TIMEOUT_MS, bodyTimeout: IDLE_TIMEOUT_MS });
  private readonly client: OpenAI;
  /** The strictest format that the endpoint is not known to refuse. */
  private format: ReplyFormat = 'json_schema';
  private formatWorks = false;

  constructor(
    endpoint: ModelEndpoint,
    private readonly clock: Clock,
    /** From 0 to below 1; spreads the retries. */
    private readonly random: () => number,
  ) {
    this.name = endpoint.name;
    this.client = new OpenAI({
      baseURL: endpoint.apiUrl ?? OPENAI_URL,
      apiKey: endpoint.apiKey ?? 'none',
      organization: null,
      project: null,
      maxRetries: 0,
      logLevel: 'off',
      fetch: undiciFetch(this.agent, RESPONSE_MAX_BYTES),
    });
  }

  async decide(request: ModelRequest): Promise<ModelReply> {
    const deadline = this.clock.now() + TOTAL_BUDGET_MS;
    let format = this.format;
    let tries = 0;
    for (let calls = 1; ; calls += 1) {
      request.signal.throwIfAborted();
      const attempt = await this.attempt(request, format, deadline);
      if (attempt.kind === 'answer') {
        this.format = format;
        this.formatWorks = true;
        return { ...attempt.completion, calls };
      }
      if (attempt.kind === 'failed') {
        tries += 1;
        await this.waitForNextTry(attempt, tries, deadline, request.signal);
        continue;
      }
      const simpler = REPLY_FORMATS[REPLY_FORMATS.indexOf(format) + 1];
      if (!attempt.formatMayBeWhy || simpler === undefined) throw rejection(attempt.status);
      this.log.debug(`The model endpoint answered ${attempt.status} to ${format}; trying ${simpler}`);
      format = simpler;
    }
  }

  /** Whether a model answers is no matter of readiness: each decision retries for itself, and asking would cost. */
  async ping(): Promise<void> {}

  async close(): Promise<void> {
    await this.agent.destroy();
  }

  private async attempt(request: ModelRequest, format: ReplyFormat, deadline: number): Promise<Attempt> {
    const call = new AbortController();
    const abort = () => call.abort();
    request.signal.addEventListener('abort', abort, { once: true });
    const timeout = Math.min(CALL_TIMEOUT_MS, deadline - this.clock.now());
    void this.clock.sleep(timeout, call.signal).then(abort, () => undefined);
    try {
      const answer: unknown = await this.client.chat.completions.create(
        {
          model: this.name,
          messages: [...request.messages],
          ...responseFormat(format, request.situation.mustExit),
        },
        { signal: call.signal },
      );
      const completion = readCompletion(answer);
      if (completion !== null) return { kind: 'answer', completion };
      return { kind: 'failed', what: 'an answer that is no chat completion', toldMs: null };
    } catch (error) {
      request.signal.throwIfAborted();
      if (call.signal.aborted) return { kind: 'failed', what: 'no answer in time', toldMs: null };
      return this.classify(error);
    } finally {
      request.signal.removeEventListener('abort', abort);
      call.abort();
    }
  }

  private classify(error: unknown): Attempt {
    const status = error instanceof APIError ? (error.status as number | undefined) : undefined;
    if (!(error instanceof APIError) || status === undefined) {
      return { kind: 'failed', what: 'no readable answer', toldMs: null };
    }
    if (retryHelps(status)) {
      const header = (error.headers as Headers | undefined)?.get('retry-after');
      return { kind: 'failed', what: `status ${status}`, toldMs: retryAfterMs(header, this.clock.now()) };
    }
    // Not every endpoint puts its reason where the SDK looks, so the first refusals may be about the format as well.
    const refused = status === 400 || status === 422;
    const named = /response_format|json_schema|json_object|structured output/i.test(error.message);
    const formatMayBeWhy = named ? refused || status === 404 : refused && !this.formatWorks;
    return { kind: 'rejected', status, formatMayBeWhy };
  }

  private async waitForNextTry(
    failed: Extract<Attempt, { kind: 'failed' }>,
    tries: number,
    deadline: number,
    signal: AbortSignal,
  ): Promise<void> {
    const wait = retryWait(tries, failed.toldMs, this.random);
    if (tries >= TRIES || this.clock.now() + wait >= deadline) {
      throw new EuglenaError(
        'model_unavailable',
        `The model endpoint gave no answer in ${tries} ${tries === 1 ? 'try' : 'tries'}; the last one: ${failed.what}.`,
        failed.toldMs === null ? {} : { retryAfterSeconds: Math.ceil(failed.toldMs / 1_000) },
      );
    }
    this.log.warn(`Try ${tries} of ${TRIES} failed (${failed.what}); the next in ${Math.round(wait)} ms`);
    await this.clock.sleep(wait, signal);
  }
}

function rejection(status: number): EuglenaError {
  const why: Record<number, string> = {
    400: 'it does not accept the request',
    401: 'it does not accept the API key',
    403: 'the API key may not use this model',
    404: 'it does not know the model or the path',
    422: 'it does not accept the request',
  };
  return new EuglenaError(
    'model_rejected',
    `The model endpoint answered ${status}: ${why[status] ?? 'it does not serve this request'}.`,
  );
}
