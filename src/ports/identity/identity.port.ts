export const IDENTITY = Symbol('Identity');

/** Who sent a request. */
export interface Caller {
  /** A uuid: the token's `sub`. */
  readonly userId: string;
  /** Epoch milliseconds at which the token ends. */
  readonly expiresAt: number;
}

/**
 * Tells who a token belongs to. Rejects with {@link EuglenaError} `unauthenticated` or `forbidden`, or with
 * `engine_unavailable` when whoever knows cannot be asked.
 */
export interface Identity {
  verify(token: string): Promise<Caller>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
