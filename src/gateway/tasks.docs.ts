import { applyDecorators } from '@nestjs/common';
import { ApiBody, ApiExtraModels, ApiHeader, ApiOperation, ApiParam, getSchemaPath } from '@nestjs/swagger';
import { submission } from '../domain/task-change.js';
import { taskToApi } from '../domain/task.js';
import { ApiAnswer, ApiUsersFailures, LOCATION_HEADER, RATE_HEADERS } from './api-answers.js';
import {
  CallbackSecretShape,
  ForecastShape,
  JournalEntryShape,
  TaskPageShape,
  TaskShape,
} from './task-shapes.js';
import { ExtendTask, SubmitTask } from './task.dto.js';

/** How the calls of {@link TasksController} read in the API's documentation. */
const BODY_FAILURES = ['malformed_body', 'body_too_large', 'unsupported_media_type'] as const;
const TASK_ID = ApiParam({
  name: 'id',
  description: 'The `correlation_id` of one of your tasks.',
  schema: { type: 'string', minLength: 1 },
  example: '3f6c2f5e-8f0d-4b7a-9d53-0f2f7f3b6c11',
});
const TRACEPARENT = ApiHeader({
  name: 'traceparent',
  required: false,
  description: 'W3C Trace Context: the trace that the task belongs to. Ignored when malformed.',
  example: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
});
const idempotencyKey = (meaning: string) =>
  ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: meaning,
    schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7e]+$' },
  });

/** A task that waits for its first tick. */
const WAITING = taskToApi(
  submission(
    {
      correlationId: '3f6c2f5e-8f0d-4b7a-9d53-0f2f7f3b6c11',
      owner: null,
      mandate: 'What happens when an agent crashes?',
      maxTicks: 10,
    },
    Date.UTC(2026, 0, 15, 12),
    false,
  ).record,
);

/** `data` of each event is a {@link JournalEntryShape}. */
const STREAM_EXAMPLE = `retry: 2000

id: 1
event: submitted
data: {"seq":1,"type":"submitted","at":"2026-01-15T12:00:00.000Z","data":{"mandate":"Find X","max_ticks":10},"prev":"0000…","hash":"9c1e…"}

`;

export function DescribeSubmit(): MethodDecorator {
  return applyDecorators(
    ApiOperation({
      operationId: 'submitTask',
      summary: 'Hand in a mandate',
      description: 'The answer 202 means that the task is durable. With `dry_run=true` nothing is stored.',
    }),
    idempotencyKey('The same key and body answer the same task; another body answers 409.'),
    TRACEPARENT,
    ApiBody({ type: SubmitTask }),
    ApiAnswer(200, {
      type: ForecastShape,
      description: 'A dry run: what would become of the task now.',
      headers: RATE_HEADERS,
    }),
    ApiAnswer(202, {
      type: TaskShape,
      description: 'The task is durable and waits for an agent.',
      example: WAITING,
      headers: { ...LOCATION_HEADER, ...RATE_HEADERS },
    }),
    ApiUsersFailures(
      ...BODY_FAILURES,
      'invalid_field',
      'idempotency_mismatch',
      'quota_exceeded',
      'too_many_active_tasks',
    ),
  );
}

export function DescribeList(): MethodDecorator {
  return applyDecorators(
    ApiOperation({ operationId: 'listTasks', summary: 'Your tasks, newest first' }),
    ApiAnswer(200, { type: TaskPageShape, description: 'A page of tasks.', headers: RATE_HEADERS }),
    ApiUsersFailures('invalid_field'),
  );
}

export function DescribeFind(): MethodDecorator {
  return applyDecorators(
    ApiOperation({ operationId: 'getTask', summary: 'One task' }),
    TASK_ID,
    ApiAnswer(200, { type: TaskShape, description: 'The task as it is now.', headers: RATE_HEADERS }),
    ApiUsersFailures('not_found'),
  );
}

export function DescribeCancel(): MethodDecorator {
  return applyDecorators(
    ApiOperation({ operationId: 'cancelTask', summary: 'End a task; one that has ended stays as it is' }),
    TASK_ID,
    ApiAnswer(200, { type: TaskShape, description: 'The task, ended.', headers: RATE_HEADERS }),
    ApiUsersFailures(...BODY_FAILURES, 'not_found'),
  );
}

export function DescribeExtend(): MethodDecorator {
  return applyDecorators(
    ApiOperation({
      operationId: 'extendTask',
      summary: 'Give a completed or failed task more ticks',
      description: 'The task waits for an agent again and goes on from its journal; its answer is replaced.',
    }),
    TASK_ID,
    idempotencyKey('The same key extends the task once; with other ticks it answers 409.'),
    TRACEPARENT,
    ApiBody({ type: ExtendTask }),
    ApiAnswer(202, {
      type: TaskShape,
      description: 'The task waits for an agent again.',
      example: { ...WAITING, tick: 4, max_ticks: 30 },
      headers: { ...LOCATION_HEADER, ...RATE_HEADERS },
    }),
    ApiUsersFailures(
      ...BODY_FAILURES,
      'invalid_field',
      'not_found',
      'conflict',
      'idempotency_mismatch',
      'quota_exceeded',
      'too_many_active_tasks',
    ),
  );
}

export function DescribeCallbackSecret(): MethodDecorator {
  return applyDecorators(
    ApiOperation({
      operationId: 'getCallbackSecret',
      summary: 'The secret that signs the callbacks of your tasks',
      description: 'Give it to a Standard Webhooks library where you receive them. It is the same each time.',
    }),
    ApiAnswer(200, { type: CallbackSecretShape, description: 'Your secret.', headers: RATE_HEADERS }),
    ApiUsersFailures('not_found'),
  );
}

export function DescribeFollow(): MethodDecorator {
  return applyDecorators(
    ApiOperation({
      operationId: 'followTask',
      summary: 'The journal of a task as it grows (Server-Sent Events)',
      description:
        'One event for each journal entry: `id` is its sequence number, `event` its type, `data` a JournalEntry. ' +
        'The stream ends when the task does.',
    }),
    TASK_ID,
    ApiHeader({
      name: 'Last-Event-ID',
      required: false,
      description: 'Go on behind this event; browsers send it by themselves.',
      schema: { type: 'string', pattern: '^[0-9]{1,15}$' },
    }),
    ApiExtraModels(JournalEntryShape),
    ApiAnswer(204, {
      description: 'The task has ended and you know all of it: do not reconnect.',
      headers: RATE_HEADERS,
    }),
    ApiAnswer(200, {
      description: `The events; \`data\` is a ${getSchemaPath(JournalEntryShape)}.`,
      content: { 'text/event-stream': { schema: { type: 'string' }, example: STREAM_EXAMPLE } },
      headers: RATE_HEADERS,
    }),
    ApiUsersFailures('not_found', 'invalid_field'),
  );
}
