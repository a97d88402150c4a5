import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { ERROR_KINDS, type ErrorCode, EuglenaError } from '../domain/errors.js';
import { LogLine } from '../observability/log-line.js';
import { QuotaExceeded, quotaToApi } from './quota-usage.js';

/** The HTTP status of each code. A task's outcome is never the answer to a request: it is told in the task. */
export const HTTP_STATUS: Record<ErrorCode, number | 'task outcome'> = {
  malformed_body: 400,
  malformed_request: 400,
  invalid_field: 422,
  body_too_large: 413,
  unsupported_media_type: 415,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  idempotency_mismatch: 409,
  quota_exceeded: 429,
  too_many_active_tasks: 429,
  rate_limited: 429,
  engine_unavailable: 503,
  internal: 500,
  model_unavailable: 'task outcome',
  model_rejected: 'task outcome',
  model_refused: 'task outcome',
  model_context_exceeded: 'task outcome',
  model_unparseable: 'task outcome',
  deadline_exceeded: 'task outcome',
  attempts_exhausted: 'task outcome',
  bad_envelope: 'task outcome',
  expired: 'task outcome',
};

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';
/** When to try again after a failure of an engine, in seconds, if nobody knows better. */
const ENGINE_RETRY_SECONDS = 5;
const ECHO_MAX_CHARS = 64;
const FIELDS_MAX = 20;

/**
 * An error as RFC 9457 has it. `status` is given where HTTP is finer than our codes (408, 431). What an engine said stays
 * in the log: only the details of errors that the request itself caused are shown.
 */
export function problemDocument(
  error: EuglenaError,
  requestId: string | undefined,
  status = statusOf(error),
) {
  return {
    type: `urn:euglena:error:${error.code}`,
    title: ERROR_KINDS[error.code].title,
    status,
    detail: status >= 500 ? hiddenDetail(error) : error.message,
    code: error.code,
    ...(error.fields.length === 0
      ? {}
      : {
          errors: error.fields
            .slice(0, FIELDS_MAX)
            .map(({ field, message }) => ({ field: field.slice(0, ECHO_MAX_CHARS), message })),
        }),
    ...(error instanceof QuotaExceeded ? { quota: quotaToApi(error.usage) } : {}),
    ...(requestId === undefined ? {} : { request_id: requestId }),
  };
}

/** Answers a request with a problem document and the headers that its code calls for. */
export function sendProblem(reply: FastifyReply, error: EuglenaError): void {
  const status = statusOf(error);
  const retryAfter = error.retryAfterSeconds ?? (status === 503 ? ENGINE_RETRY_SECONDS : undefined);
  if (retryAfter !== undefined) void reply.header('retry-after', String(retryAfter));
  if (status === 401) void reply.header('www-authenticate', challengeTo(reply.request));
  void reply
    .status(status)
    .header('content-type', PROBLEM_TYPE)
    .send(JSON.stringify(problemDocument(error, reply.request.id)));
}

/** RFC 6750, 3.1: who sent no credentials is told no error. */
function challengeTo({ headers }: FastifyRequest): string {
  return `Bearer realm="euglena"${headers.authorization === undefined ? '' : ', error="invalid_token"'}`;
}

/** The one place where failures become answers: ours, the framework's and the unexpected. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Http');

  catch(exception: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    const error = asEuglenaError(exception);
    if (statusOf(error) >= 500) {
      const route = `${request.method} ${request.routeOptions.url ?? 'unknown route'}`;
      const cause = exception instanceof Error ? exception : new Error(String(exception));
      this.logger.error(new LogLine(`${route}: ${cause.message}`, { request: request.id }), cause.stack);
    }
    if (!reply.sent) sendProblem(reply, error);
  }
}

/** What the framework or a bug threw, in our words. */
export function asEuglenaError(exception: unknown): EuglenaError {
  if (exception instanceof EuglenaError) return exception;
  if (exception instanceof HttpException) return fromStatus(exception.getStatus(), exception);
  const status = (exception as { statusCode?: unknown } | null)?.statusCode;
  return fromStatus(typeof status === 'number' ? status : 500, exception);
}

const FROM_STATUS: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  401: ['unauthenticated', 'The access token is missing or not valid.'],
  403: ['forbidden', 'This is not allowed.'],
  404: ['not_found', 'There is nothing at this address.'],
  405: ['method_not_allowed', 'This address does not know the method.'],
  413: ['body_too_large', 'The body is larger than this server takes.'],
  415: ['unsupported_media_type', 'Send the body as application/json in UTF-8.'],
  429: ['rate_limited', 'Too many requests; slow down.'],
  503: ['engine_unavailable', 'A component is not available.'],
};

function fromStatus(status: number, exception: unknown): EuglenaError {
  const known = FROM_STATUS[status];
  if (known !== undefined) return new EuglenaError(...known, { cause: exception });
  if (status >= 400 && status < 500) {
    return new EuglenaError('malformed_request', 'The request cannot be understood.', { cause: exception });
  }
  return new EuglenaError('internal', 'Something went wrong.', { cause: exception });
}

function statusOf(error: EuglenaError): number {
  const status = HTTP_STATUS[error.code];
  return status === 'task outcome' ? 500 : status;
}

function hiddenDetail(error: EuglenaError): string {
  return error.code === 'engine_unavailable'
    ? 'A component that this needs is not available right now. Try again later.'
    : 'The reason is in the log of this server, under the request id.';
}
