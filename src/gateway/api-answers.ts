import { applyDecorators, type Type } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiProperty,
  ApiResponse,
  type ApiResponseNoStatusOptions,
  ApiSchema,
  getSchemaPath,
} from '@nestjs/swagger';
import { ERROR_KINDS, type ErrorCode, EuglenaError, type FieldError } from '../domain/errors.js';
import { HTTP_STATUS, PROBLEM_TYPE, problemDocument } from './problem-documents.js';
import { QuotaShape } from './task-shapes.js';

const REQUEST_ID = '0b6f6a0e-5a2f-4f3d-9c0c-3a4c7b1e2d90';
const REQUEST_CODES = (Object.keys(ERROR_KINDS) as ErrorCode[]).filter(
  (code) => HTTP_STATUS[code] !== 'task outcome',
);

@ApiSchema({ name: 'FieldError' })
class FieldErrorShape {
  @ApiProperty({ maxLength: 64, example: 'max_ticks' }) field!: string;
  @ApiProperty({ example: 'must be a whole number from 1 to 200' }) message!: string;
}

/** RFC 9457. */
@ApiSchema({ name: 'Problem' })
class ProblemShape {
  @ApiProperty({ format: 'uri', example: 'urn:euglena:error:invalid_field' }) type!: string;
  @ApiProperty({ description: 'The same for every problem of this code.' }) title!: string;
  @ApiProperty({ type: 'integer', minimum: 400, maximum: 599, example: 422 }) status!: number;
  @ApiProperty({ description: 'What went wrong this time, for people.' }) detail!: string;
  @ApiProperty({ enum: REQUEST_CODES, description: 'Stable: branch on this.' }) code!: string;
  @ApiProperty({ type: [FieldErrorShape], required: false, description: 'With `invalid_field`.' })
  errors?: FieldErrorShape[];
  @ApiProperty({ type: QuotaShape, required: false, description: 'With `quota_exceeded`.' })
  quota?: QuotaShape;
  @ApiProperty({ required: false, maxLength: 64, description: 'The header `X-Request-Id`; also in the log.' })
  request_id?: string;
}

const text = (description: string, example: string, required = true) => ({
  description,
  required,
  schema: { type: 'string' as const },
  example,
});
const REQUEST_ID_HEADER = { 'X-Request-Id': text('Names the request, in the log too.', REQUEST_ID) };
/** Headers of every answer to a user. */
export const RATE_HEADERS = {
  RateLimit: text('Requests that are left, and the seconds until all are back.', '"user";r=599;t=1'),
  'RateLimit-Policy': text('Requests that a user may send in 60 seconds.', '"user";q=600;w=60'),
};
export const LOCATION_HEADER = {
  Location: text('The task.', '/tasks/3f6c2f5e-8f0d-4b7a-9d53-0f2f7f3b6c11'),
};

/** Headers that come with a failure of some status. */
const PROBLEM_HEADERS: Readonly<Record<string, Readonly<Record<string, object>>>> = {
  401: { 'WWW-Authenticate': text('RFC 6750.', 'Bearer realm="euglena", error="invalid_token"') },
  429: { 'Retry-After': text('Seconds.', '30') },
  503: { 'Retry-After': text('Seconds.', '5') },
};

/** What an answer of each code says, where the code's title says too little for an example. */
const DETAILS: Partial<Record<ErrorCode, string>> = {
  malformed_body: 'The body is not valid JSON in UTF-8.',
  malformed_request: 'A request names exactly one Host.',
  invalid_field: 'The request has invalid fields; see "errors".',
  unauthenticated: 'The access token is not valid, or no longer.',
  forbidden: 'Anonymous users may not do this; sign in with an account.',
  not_found: 'You have no task with this id.',
  conflict: 'The task is in_progress; only a task that is completed or failed can be extended.',
  idempotency_mismatch: 'This Idempotency-Key was used for another mandate or budget. Use a new key.',
  quota_exceeded: 'The task may use 50 ticks; 12 are left today (UTC).',
  too_many_active_tasks:
    'You have 100 unfinished tasks, as many as you may. Wait for one to end, or cancel one.',
  rate_limited: 'More than 600 requests a minute.',
};
const FIELDS: readonly FieldError[] = [
  { field: 'max_ticks', message: 'must be a whole number from 1 to 200' },
];
const QUOTA = { limit: 256, used: 244, remaining: 12, resets_at: '2026-01-16T00:00:00.000Z' };

/** What any call may answer, and what any call of a user may. */
const EVERY_CALL = ['malformed_request'] as const;
const EVERY_USERS_CALL = ['unauthenticated', 'forbidden', 'rate_limited', 'engine_unavailable'] as const;

/** A success in the documentation. */
export function ApiAnswer(
  status: number,
  options: Pick<ApiResponseNoStatusOptions, 'content'> & {
    description: string;
    type?: Type;
    headers?: Readonly<Record<string, object>>;
    example?: unknown;
  },
): MethodDecorator {
  const headers = { ...REQUEST_ID_HEADER, ...options.headers };
  return ApiResponse({ ...options, status, headers: headers });
}

/** The failures of a call that is open to everybody, by code. */
export function ApiFailures(...codes: ErrorCode[]): MethodDecorator {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set<ErrorCode>([...EVERY_CALL, ...codes])) {
    const status = Number(HTTP_STATUS[code]);
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return applyDecorators(
    ApiExtraModels(ProblemShape, QuotaShape),
    ...[...byStatus].map(([status, of]) => failure(status, of)),
    failure('default', ['internal']),
  );
}

/** The failures of a call that only users may make, by code. */
export function ApiUsersFailures(...codes: ErrorCode[]): MethodDecorator {
  return ApiFailures(...EVERY_USERS_CALL, ...codes);
}

function failure(status: number | 'default', codes: readonly ErrorCode[]): MethodDecorator {
  const titles = codes.map((code) => `\`${code}\`: ${ERROR_KINDS[code].title}.`);
  const others = 'Any other failure, such as 408 (too slow), 431 (header too large) or 500.';
  return ApiResponse({
    status,
    description: status === 'default' ? others : titles.join(' '),
    headers: { ...REQUEST_ID_HEADER, ...PROBLEM_HEADERS[status] },
    content: {
      [PROBLEM_TYPE.replace(/;.*/, '')]: {
        schema: { $ref: getSchemaPath(ProblemShape) },
        examples: Object.fromEntries(codes.map((code) => [code, { value: exampleOf(code) }])),
      },
    },
  });
}

function exampleOf(code: ErrorCode) {
  const fields = code === 'invalid_field' ? FIELDS : [];
  const error = new EuglenaError(code, DETAILS[code] ?? `${ERROR_KINDS[code].title}.`, { fields });
  const document = problemDocument(error, REQUEST_ID);
  return code === 'quota_exceeded' ? { ...document, quota: QUOTA } : document;
}
