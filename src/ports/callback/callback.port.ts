import { type CallbackFailure } from '../../domain/callback.js';

export const CALLBACKS = Symbol('Callback');

/** What a receiver is told. Sent again, it has the same id, by which a receiver knows it. */
export interface CallbackMessage {
  /** Letters, digits, ".", "_", ":" and "-". */
  readonly id: string;
  readonly url: string;
  /** The user whose secret signs it. */
  readonly owner: string;
  /** JSON. */
  readonly body: string;
}

/** Tells the receivers that users name, over the public web. */
export interface Callbacks {
  /** Why no task can have this callback address; null when it can. */
  refusal(url: string): string | null;
  /** The secret by which a user knows our callbacks (Standard Webhooks' `whsec_…`); null when callbacks are off. */
  secretOf(owner: string): string | null;
  /** One attempt. Never rejects: what goes wrong is an answer. */
  send(message: CallbackMessage): Promise<CallbackFailure>;
  close(): Promise<void>;
}
