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

export interface ModelReply {
  /** What the model said, unparsed; untrusted. */
  readonly text: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Requests it took, retries included. */
  readonly calls: number;
}

/**
 * Decides the next action. Retries what is worth retrying within its own budget, then rejects with {@link EuglenaError}
 * `model_unavailable` or `model_rejected`; rejects with the signal's reason when aborted.
 */
export interface LanguageModel {
  /** Shown to users in `result.model`. */
  readonly name: string;
  decide(request: ModelRequest): Promise<ModelReply>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
