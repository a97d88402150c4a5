/**
 * Every error code that a user or an operator can meet, in one table.
 * A code is stable: clients branch on it, `docs/errors.md` explains it, and a test fails when the two differ.
 */
interface ErrorKind {
  /** Short and the same for every occurrence (RFC 9457 `title`). */
  readonly title: string;
  /** Whether sending the same request again, unchanged, can succeed. */
  readonly retryHelps: boolean;
}

export const ERROR_KINDS = {
  // Requests
  malformed_body: { title: 'The body cannot be read', retryHelps: false },
  malformed_request: { title: 'The request cannot be read', retryHelps: false },
  invalid_field: { title: 'A field is invalid', retryHelps: false },
  body_too_large: { title: 'The body is too large', retryHelps: false },
  unsupported_media_type: { title: 'The content type is not supported', retryHelps: false },
  unauthenticated: { title: 'A valid access token is required', retryHelps: false },
  forbidden: { title: 'This caller may not do that', retryHelps: false },
  not_found: { title: 'There is no such thing', retryHelps: false },
  method_not_allowed: { title: 'The method is not allowed here', retryHelps: false },
  conflict: { title: 'The task is not in a state that allows this', retryHelps: false },
  idempotency_mismatch: { title: 'The Idempotency-Key was used with another body', retryHelps: false },
  quota_exceeded: { title: 'The daily tick quota does not cover this', retryHelps: true },
  too_many_active_tasks: { title: 'Too many unfinished tasks', retryHelps: true },
  rate_limited: { title: 'Too many requests', retryHelps: true },
  engine_unavailable: { title: 'A component is not available', retryHelps: true },
  internal: { title: 'Something went wrong on our side', retryHelps: true },
  // Outcomes of a task
  model_unavailable: { title: 'The language model did not answer', retryHelps: true },
  model_rejected: {
    title: 'The language model refused the credentials, the model name or the request',
    retryHelps: false,
  },
  model_refused: { title: 'The language model declined to work on the mandate', retryHelps: false },
  model_context_exceeded: {
    title: "The mandate is too long for the language model's context",
    retryHelps: false,
  },
  model_unparseable: { title: 'The language model gave no usable action', retryHelps: true },
  deadline_exceeded: { title: 'The task ran longer than its deadline', retryHelps: true },
  attempts_exhausted: { title: 'The task failed on every attempt', retryHelps: true },
  bad_envelope: { title: 'The queued message does not describe a task', retryHelps: false },
  expired: { title: 'The task waited longer than tasks are kept', retryHelps: true },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;

/** One invalid field of a request: a JSON pointer-like path (`max_ticks`) and what is wrong with it. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

/** An expected failure. `detail` is safe to show to the user: it holds no secret, no vendor text, no stack. */
export class EuglenaError extends Error {
  readonly code: ErrorCode;
  readonly fields: readonly FieldError[];
  /** Seconds after which a retry makes sense, if known. */
  readonly retryAfterSeconds: number | undefined;
  /** Whether the engine certainly did nothing, because it was not reached. Otherwise it may have done what it was asked. */
  readonly nothingDone: boolean;

  constructor(
    code: ErrorCode,
    detail: string,
    options: {
      fields?: readonly FieldError[];
      retryAfterSeconds?: number;
      nothingDone?: boolean;
      cause?: unknown;
    } = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'EuglenaError';
    this.code = code;
    this.fields = options.fields ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.nothingDone = options.nothingDone ?? false;
  }

  get retryHelps(): boolean {
    return ERROR_KINDS[this.code].retryHelps;
  }
}

/** An engine answers, and will give the same answer until somebody changes its settings or ours: waiting does not help. */
export class EngineRefusal extends EuglenaError {
  constructor(detail: string, options: { nothingDone?: boolean } = {}) {
    super('engine_unavailable', detail, options);
  }
}
