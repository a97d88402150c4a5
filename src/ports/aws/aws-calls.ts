import { type Settings } from '../../config/settings.js';
import { EuglenaError } from '../../domain/errors.js';

export interface AwsPlace {
  readonly region: string;
  /** Replaces the service's own address; null: the one of the region. */
  readonly endpointUrl: string | null;
  /** How long one attempt may wait for its answer, in ms. Default: 3,000. */
  readonly answerTimeoutMs?: number;
}

/**
 * Where the calls of a process go.
 * @throws Error when no region is known, which the validation of the settings rules out.
 */
export function awsPlace({ region, endpointUrl }: Settings['aws']): AwsPlace {
  if (region === null) throw new Error('An adapter for AWS was chosen without AWS_REGION.');
  return { region, endpointUrl };
}

/** For one attempt, in ms. */
const CONNECT_TIMEOUT_MS = 1_000;
const ANSWER_TIMEOUT_MS = 3_000;
const ATTEMPTS = 3;
/** For a whole call: looking for credentials, all attempts and the waits between them. In ms. */
const CALL_BUDGET_MS = 15_000;

/** What a client of any AWS service is made with: no call waits for long, and none is retried for ever. */
export function clientSettings({ region, endpointUrl, answerTimeoutMs = ANSWER_TIMEOUT_MS }: AwsPlace) {
  return {
    region,
    ...(endpointUrl === null ? {} : { endpoint: endpointUrl }),
    maxAttempts: ATTEMPTS,
    retryMode: 'standard',
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: answerTimeoutMs,
      throwOnRequestTimeout: true,
    },
  };
}

/** The names that AWS services give to the same trouble, and what an operator needs to know of it. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/^(CredentialsProviderError|TokenProviderError)$/, 'no AWS credentials were found'],
  [/Throttl|TooManyRequests|RequestLimitExceeded|^LimitExceeded/, 'it throttles the calls'],
  [/AccessDenied|UnauthorizedOperation|NotAuthorized/, 'it refuses the permission'],
  [
    /UnrecognizedClient|InvalidClientTokenId|InvalidSignature|SignatureDoesNotMatch|ExpiredToken|IncompleteSignature|MissingAuthenticationToken/,
    'it refuses the credentials',
  ],
];

/**
 * The calls to one AWS service: each bounded in time, each failure an {@link EuglenaError} `engine_unavailable` in our own
 * words. A ping tells how the last call went: asking AWS for its health would cost money, and permissions beyond need.
 */
export class AwsCalls {
  private outage: EuglenaError | null = null;

  /** @param budgetMs for a whole call, retries included */
  constructor(
    private readonly service: string,
    private readonly budgetMs = CALL_BUDGET_MS,
  ) {}

  async call<T>(send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      const answer = await this.withinBudget(send);
      this.outage = null;
      return answer;
    } catch (error) {
      this.outage =
        error instanceof EuglenaError
          ? error
          : new EuglenaError('engine_unavailable', `${this.service}: ${reasonOf(error)}.`, { cause: error });
      throw this.outage;
    }
  }

  /** Rejects when the last call failed. */
  async ping(): Promise<void> {
    if (this.outage !== null) throw this.outage;
  }

  /** The signal does not end a search for credentials, so the whole call runs against the clock. */
  private async withinBudget<T>(send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new EuglenaError('engine_unavailable', `${this.service}: it does not answer.`));
        abort.abort();
      }, this.budgetMs);
    });
    const answer = send(abort.signal);
    answer.catch(() => undefined); // It may fail after it was given up.
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

interface ClientError {
  readonly name?: string;
  /** What the client knows of the exchange; without a status there was no answer. */
  readonly $metadata?: { readonly httpStatusCode?: number };
}

function reasonOf(error: unknown): string {
  const { name = '', $metadata } = error as ClientError;
  const known = REASONS.find(([pattern]) => pattern.test(name))?.[1];
  if (known !== undefined) return known;
  const unanswered = $metadata !== undefined && $metadata.httpStatusCode === undefined;
  return unanswered ? 'it does not answer' : 'it did not do what it was asked';
}
