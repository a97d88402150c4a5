import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import { CALLBACK_STATES, type CallbackState } from '../domain/callback.js';
import { MANDATE_MAX_CHARS, TICKS_MAX } from '../domain/envelope.js';
import { ERROR_KINDS, type ErrorCode } from '../domain/errors.js';
import { JOURNAL_TYPES, type JournalType } from '../domain/journal.js';
import { VISIBLE_STATUSES, type VisibleStatus } from '../domain/task.js';
import { HTTP_STATUS } from './problem-documents.js';

/** Answers in the API's documentation; the domain's `…ToApi` and `…ToJson` make the real things. */
const COUNT = { type: 'integer', minimum: 0 } as const;
const SHA256 = { pattern: '^[0-9a-f]{64}$', example: '9c1e'.repeat(16) } as const;
const AT = { format: 'date-time', example: '2026-01-15T12:00:04.512Z' } as const;
const FAILURES = (Object.keys(ERROR_KINDS) as ErrorCode[]).filter(
  (code) => HTTP_STATUS[code] === 'task outcome' || code === 'internal',
);

@ApiSchema({ name: 'Usage' })
class UsageShape {
  @ApiProperty({ ...COUNT, description: 'Ticks done.', example: 4 }) ticks!: number;
  @ApiProperty({ ...COUNT, example: 4 }) model_calls!: number;
  @ApiProperty({ ...COUNT, example: 5_310 }) prompt_tokens!: number;
  @ApiProperty({ ...COUNT, example: 412 }) completion_tokens!: number;
}

@ApiSchema({ name: 'Source' })
class SourceShape {
  @ApiProperty({ example: 's1', description: 'What the answer cites.' }) id!: string;
  @ApiProperty({ example: 'corpus:docs/agent.md' }) url!: string;
  @ApiProperty({ example: 'The agent' }) title!: string;
  @ApiProperty(AT) retrieved_at!: string;
  @ApiProperty({ ...SHA256, description: 'SHA-256 of the text that was read.' }) sha256!: string;
}

@ApiSchema({ name: 'Result' })
class ResultShape {
  @ApiProperty({ example: 'When an agent crashes, another one goes on from the journal [s1].' })
  answer!: string;
  @ApiProperty({
    enum: ['answered', 'max_ticks'],
    description: '`max_ticks`: the budget ended, and this is the best that is known.',
  })
  exit_reason!: string;
  @ApiProperty({
    type: [SourceShape],
    description: 'The documents that the agent read and the answer cites; all that it read if it cites none.',
  })
  sources!: SourceShape[];
  @ApiProperty({
    type: [String],
    description: 'The sentences of the answer that cite no source, as they stand in it.',
    example: [],
  })
  unsupported!: string[];
  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    nullable: true,
    description: 'What follows the `output_schema`; null without one, and where `data_error` says why not.',
    example: null,
  })
  data!: object | null;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Why there is no `data` although an `output_schema` was given.',
    example: null,
  })
  data_error!: string | null;
  @ApiProperty({ description: 'What produced the answer.', example: 'gpt-4o-mini' }) model!: string;
  @ApiProperty({ ...SHA256, description: "Head of the journal's hash chain." }) receipt!: string;
}

@ApiSchema({ name: 'Failure' })
class FailureShape {
  @ApiProperty({ enum: FAILURES, example: 'model_unavailable' }) code!: string;
  @ApiProperty({ example: 'The language model did not answer.' }) message!: string;
}

@ApiSchema({ name: 'Callback' })
class CallbackShape {
  @ApiProperty({ format: 'uri', example: 'https://client.example.com/euglena' }) url!: string;
  @ApiProperty({
    enum: CALLBACK_STATES,
    description: '`waiting`: the end is still to be told. `failed`: it was given up.',
    example: 'delivered',
  })
  state!: CallbackState;
  @ApiProperty({ ...COUNT, example: 1 }) attempts!: number;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'What the newest attempt failed of.',
    example: null,
  })
  last_failure!: string | null;
}

@ApiSchema({ name: 'CallbackSecret' })
export class CallbackSecretShape {
  @ApiProperty({
    pattern: '^whsec_[A-Za-z0-9+/=]{44}$',
    example: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=',
  })
  secret!: string;
}

@ApiSchema({ name: 'Task' })
export class TaskShape {
  @ApiProperty({
    pattern: '^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$',
    example: '3f6c2f5e-8f0d-4b7a-9d53-0f2f7f3b6c11',
    description: 'The id of the task; a uuid when the gateway made it.',
  })
  correlation_id!: string;
  @ApiProperty({ enum: VISIBLE_STATUSES, example: 'completed' }) status!: VisibleStatus;
  @ApiProperty({ maxLength: MANDATE_MAX_CHARS, example: 'What happens when an agent crashes?' })
  mandate!: string;
  @ApiProperty({ type: 'integer', minimum: 1, maximum: TICKS_MAX, example: 10 }) max_ticks!: number;
  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    nullable: true,
    description: 'The JSON Schema that the data of the result is to follow; null if none was given.',
    example: null,
  })
  output_schema!: object | null;
  @ApiProperty({ ...COUNT, description: 'Ticks done so far.', example: 4 }) tick!: number;
  @ApiProperty({ type: ResultShape, nullable: true, description: 'Null until the task is completed.' })
  result!: ResultShape | null;
  @ApiProperty({
    type: FailureShape,
    nullable: true,
    description: 'Null unless the status is `error`.',
    example: null,
  })
  error!: FailureShape | null;
  @ApiProperty({ type: UsageShape }) usage!: UsageShape;
  @ApiProperty({ type: CallbackShape, nullable: true, description: 'Null without a `callback_url`.' })
  callback!: CallbackShape | null;
  @ApiProperty({ type: String, nullable: true, example: 'host-7-1a2b3c' }) worker_id!: string | null;
  @ApiProperty(AT) created_at!: string;
  @ApiProperty(AT) updated_at!: string;
  @ApiProperty({ type: String, ...AT, nullable: true }) started_at!: string | null;
  @ApiProperty({ type: String, ...AT, nullable: true }) finished_at!: string | null;
}

@ApiSchema({ name: 'TaskPage' })
export class TaskPageShape {
  @ApiProperty({ type: [TaskShape] }) tasks!: TaskShape[];
  @ApiProperty({
    type: String,
    nullable: true,
    description: '`cursor` of the next page; null on the last one.',
    example: 'WzE3Njg0Nzg0MDAwMDAsInQtMSJd',
  })
  next_cursor!: string | null;
}

/** `data` of an event: a journal entry, with what it takes to check the chain. */
@ApiSchema({ name: 'JournalEntry' })
export class JournalEntryShape {
  @ApiProperty({ type: 'integer', minimum: 1, example: 3, description: 'The id of the event.' }) seq!: number;
  @ApiProperty({ enum: JOURNAL_TYPES, example: 'tick', description: 'The name of the event.' })
  type!: JournalType;
  @ApiProperty(AT) at!: string;
  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    description: 'What happened; the fields depend on the type.',
    example: { tick: 1, thought: 'Look first.', action: 'SEARCH', argument: 'agent crash' },
  })
  data!: object;
  @ApiProperty({ ...SHA256, description: 'Hash of the entry before; zeros for the first.' }) prev!: string;
  @ApiProperty({
    ...SHA256,
    description: 'SHA-256 over the canonical JSON of `[seq, prev, type, at, data]`.',
  })
  hash!: string;
}

@ApiSchema({ name: 'Quota' })
export class QuotaShape {
  @ApiProperty({ ...COUNT, description: 'Ticks a day.', example: 256 }) limit!: number;
  @ApiProperty({ ...COUNT, description: 'Used, or reserved by unfinished tasks.', example: 54 })
  used!: number;
  @ApiProperty({ ...COUNT, example: 202 }) remaining!: number;
  @ApiProperty({
    format: 'date-time',
    description: 'The next UTC midnight.',
    example: '2026-01-16T00:00:00.000Z',
  })
  resets_at!: string;
}

/** The answer to a dry run. */
@ApiSchema({ name: 'Forecast' })
export class ForecastShape {
  @ApiProperty({ type: 'boolean', enum: [true] }) dry_run!: boolean;
  @ApiProperty({ description: 'Whether the task would be accepted now.', example: true })
  would_be_accepted!: boolean;
  @ApiProperty({
    type: String,
    enum: ['quota_exceeded', 'too_many_active_tasks'],
    nullable: true,
    description: 'The code of the refusal, if it would be refused.',
    example: null,
  })
  refusal!: string | null;
  @ApiProperty({ ...COUNT, description: 'How many tasks wait before it.', example: 3 }) position!: number;
  @ApiProperty({
    ...COUNT,
    nullable: true,
    description:
      'Roughly how long it would wait for an agent, by the agents that live and by how long your last tasks ran; ' +
      'null when that is not known.',
    example: 40,
  })
  estimated_wait_seconds!: number | null;
  @ApiProperty({ type: 'integer', minimum: 1, maximum: TICKS_MAX, example: 50 }) worst_case_ticks!: number;
  @ApiProperty({
    type: QuotaShape,
    description: 'The quota as it would be afterwards, or as it is if the task would be refused.',
  })
  quota!: QuotaShape;
}
