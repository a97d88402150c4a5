import { type ErrorCode, EuglenaError } from '../../domain/errors.js';
import { type ChatMessage, type Situation } from '../../domain/situation.js';

export const LANGUAGE_MODEL = Symbol('LanguageModel');

export interface ModelRequest {
  /** What is known, for models that are programs. */
  readonly situation: Situation;
  /** The same as a conversation, for models that are language models. */
  readonly messages: readonly ChatMessage[];
  /** Aborts the call in flight: cancel, lost lease, deadline, drain. */
  readonly signal: AbortSignal;
}

/**
 * `said`: whatever the model said. `cut`: the reply reached its length limit, so there is no text that could be acted on.
 * `refused`: the model, or a filter before or behind it, declines. `too_long`: the request does not fit the context.
 */
export type ReplyOutcome = 'said' | 'cut' | 'refused' | 'too_long';

export interface ModelReply {
  readonly outcome: ReplyOutcome;
  /** What the model said, unparsed; untrusted. Empty unless the outcome is `said`. */
  readonly text: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Requests it took, retries included. */
  readonly calls: number;
}

/** There is no reply: `model_unavailable` or `model_rejected`. */
export class ModelFailure extends EuglenaError {
  constructor(
    code: Extract<ErrorCode, 'model_unavailable' | 'model_rejected'>,
    detail: string,
    /** Requests it took. */
    readonly calls: number,
    options: { retryAfterSeconds?: number } = {},
  ) {
    super(code, detail, options);
  }
}

/**
 * Decides the next action. Retries what is worth retrying within its own budget, then rejects with {@link ModelFailure};
 * rejects with the signal's reason when aborted.
 */
export interface LanguageModel {
  /** Shown to users in `result.model`. */
  readonly name: string;
  /** How many tokens the messages of a request may have. */
  readonly roomTokens: number;
  /** How many tokens a text has. Where the model's own tokenizer is not known, that of a usual one. */
  countTokens(text: string): number;
  decide(request: ModelRequest): Promise<ModelReply>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
