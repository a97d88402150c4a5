import { Logger } from '@nestjs/common';
import { type Clock } from '../../domain/clock.js';
import { type Completion, readCompletion, responseFormat } from './chat-completion.js';
import { ChatEndpoint, type EndpointAnswer } from './chat-endpoint.js';
import {
  type LanguageModel,
  ModelFailure,
  type ModelReply,
  type ModelRequest,
} from './language-model.port.js';
import { retryAfterMs, retryHelps, retryWait } from './model-retry.js';
import { type Dialect, saysFiltered, saysTooLong, simplerDialect, USUAL_DIALECT } from './request-dialect.js';
import { countTokens } from './token-count.js';

export interface ModelEndpoint {
  /** Base URL of an OpenAI-compatible API; null: OpenAI's own. */
  readonly apiUrl: string | null;
  /** Null for endpoints that ask for none. */
  readonly apiKey: string | null;
  readonly name: string;
  /** What request and reply may have together, in tokens. */
  readonly contextTokens: number;
  /** What a reply may have, in tokens. */
  readonly maxTokens: number;
  /** From 0 to 2; null: the endpoint's own. */
  readonly temperature: number | null;
}

const COMPLAINT_MAX_CHARS = 4_000;
const TRIES = 5;
const CALL_TIMEOUT_MS = 120_000;
/** For one decision, with all its tries and waits. */
const TOTAL_BUDGET_MS = 180_000;

type Attempt =
  | { readonly kind: 'answer'; readonly completion: Completion }
  /** `what` is for the log and the user: a status, never the endpoint's own words. */
  | { readonly kind: 'failed'; readonly what: string; readonly toldMs: number | null }
  /** `complaint` is the endpoint's own words. */
  | { readonly kind: 'rejected'; readonly status: number; readonly complaint: string }
  | { readonly kind: 'refused' }
  | { readonly kind: 'too_long' };

/** A model behind OpenAI's chat completions protocol: OpenAI itself, vLLM, Ollama, llama.cpp, LM Studio and the like. */
export class OpenAiLanguageModel implements LanguageModel {
  readonly name: string;
  private readonly log = new Logger('LanguageModel');
  private readonly chat: ChatEndpoint;
  readonly roomTokens: number;
  private dialect = USUAL_DIALECT;
  private dialectWorks = false;

  constructor(
    private readonly endpoint: ModelEndpoint,
    private readonly clock: Clock,
    /** From 0 to below 1; spreads the retries. */
    private readonly random: () => number,
  ) {
    this.name = endpoint.name;
    this.roomTokens = endpoint.contextTokens - endpoint.maxTokens;
    this.chat = new ChatEndpoint(endpoint.apiUrl, endpoint.apiKey);
  }

  async decide(request: ModelRequest): Promise<ModelReply> {
    const deadline = this.clock.now() + TOTAL_BUDGET_MS;
    let { dialect } = this;
    let tries = 0;
    for (let calls = 1; ; calls += 1) {
      request.signal.throwIfAborted();
      const attempt = await this.attempt(request, dialect, deadline);
      if (attempt.kind === 'answer') {
        // A format that was refused for a user's schema may do for all other requests.
        if (request.situation.outputSchema === null) {
          this.dialect = dialect;
          this.dialectWorks = true;
        }
        return { ...attempt.completion, calls };
      }
      if (attempt.kind === 'refused' || attempt.kind === 'too_long') {
        return { outcome: attempt.kind, text: '', promptTokens: 0, completionTokens: 0, calls };
      }
      if (attempt.kind === 'failed') {
        tries += 1;
        await this.waitForNextTry(attempt, { tries, calls, deadline }, request.signal);
        continue;
      }
      const simpler = simplerDialect(
        dialect,
        attempt.status,
        attempt.complaint,
        this.formatWorksFor(request),
      );
      if (simpler === null) throw rejection(attempt.status, calls);
      this.log.debug(`The model endpoint answered ${attempt.status}; asking more simply`);
      dialect = simpler;
    }
  }

  countTokens(text: string): number {
    return countTokens(text);
  }

  /** Whether a model answers is no matter of readiness: each decision retries for itself, and asking would cost. */
  async ping(): Promise<void> {}

  async close(): Promise<void> {
    await this.chat.close();
  }

  private async attempt(request: ModelRequest, dialect: Dialect, deadline: number): Promise<Attempt> {
    const call = new AbortController();
    const abort = () => call.abort();
    request.signal.addEventListener('abort', abort, { once: true });
    const timeout = Math.min(CALL_TIMEOUT_MS, deadline - this.clock.now());
    void this.clock.sleep(timeout, call.signal).then(abort, () => undefined);
    try {
      const body = {
        model: this.name,
        messages: request.messages,
        ...responseFormat(dialect.format, request.situation),
        ...this.limits(dialect),
      };
      return this.read(await this.chat.ask(body, call.signal));
    } catch {
      request.signal.throwIfAborted();
      const what = call.signal.aborted ? 'no answer in time' : 'no whole answer';
      return { kind: 'failed', what, toldMs: null };
    } finally {
      request.signal.removeEventListener('abort', abort);
      // With a reason, or each call would make an error with a stack.
      call.abort('over');
    }
  }

  private read({ status, text, retryAfter }: EndpointAnswer): Attempt {
    if (status < 200 || status > 299) {
      const complaint = text.slice(0, COMPLAINT_MAX_CHARS);
      if (status === 413 || saysTooLong(complaint)) return { kind: 'too_long' };
      if (saysFiltered(complaint)) return { kind: 'refused' };
      if (!retryHelps(status)) return { kind: 'rejected', status, complaint };
      return { kind: 'failed', what: `status ${status}`, toldMs: retryAfterMs(retryAfter, this.clock.now()) };
    }
    const answer = jsonOf(text);
    const completion = readCompletion(answer);
    if (completion !== null) return { kind: 'answer', completion };
    if (saysTooLong(complaintIn(answer))) return { kind: 'too_long' };
    return { kind: 'failed', what: 'an answer that is no chat completion', toldMs: null };
  }

  private formatWorksFor({ situation }: ModelRequest): boolean {
    return this.dialectWorks && situation.outputSchema === null;
  }

  private limits({ cap, temperature }: Dialect) {
    const { maxTokens, temperature: chosen } = this.endpoint;
    return {
      ...(cap === 'none' ? {} : { [cap]: maxTokens }),
      ...(chosen === null || !temperature ? {} : { temperature: chosen }),
    };
  }

  private async waitForNextTry(
    failed: Extract<Attempt, { kind: 'failed' }>,
    { tries, calls, deadline }: { tries: number; calls: number; deadline: number },
    signal: AbortSignal,
  ): Promise<void> {
    const wait = retryWait(tries, failed.toldMs, this.random);
    if (tries >= TRIES || this.clock.now() + wait >= deadline) {
      throw new ModelFailure(
        'model_unavailable',
        `The model endpoint gave no answer in ${tries} ${tries === 1 ? 'try' : 'tries'}; the last one: ${failed.what}.`,
        calls,
        failed.toldMs === null ? {} : { retryAfterSeconds: Math.ceil(failed.toldMs / 1_000) },
      );
    }
    this.log.warn(`Try ${tries} of ${TRIES} failed (${failed.what}); the next in ${Math.round(wait)} ms`);
    await this.clock.sleep(wait, signal);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Some servers answer 200 and say only in the body that it is none. */
function complaintIn(answer: unknown): string {
  const { error } = Object(answer) as { error?: unknown };
  return (JSON.stringify(error) ?? '').slice(0, COMPLAINT_MAX_CHARS);
}

function rejection(status: number, calls: number): ModelFailure {
  const why: Record<number, string> = {
    400: 'it does not accept the request',
    401: 'it does not accept the API key',
    403: 'the API key may not use this model',
    404: 'it does not know the model or the path',
    422: 'it does not accept the request',
  };
  return new ModelFailure(
    'model_rejected',
    `The model endpoint answered ${status}: ${why[status] ?? 'it does not serve this request'}.`,
    calls,
  );
}
