import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import {
  IsBoolean,
  IsIn,
  IsInt,
  IsOptional,
  IsString,
  Max,
  MaxLength,
  Min,
  ValidateIf,
} from 'class-validator';
import { CALLBACK_URL_MAX_CHARS } from '../domain/callback.js';
import { MANDATE_MAX_CHARS, TICKS_MAX } from '../domain/envelope.js';
import { OUTPUT_SCHEMA_MAX_BYTES, type OutputSchema } from '../domain/output-schema.js';
import { VISIBLE_STATUSES, type VisibleStatus } from '../domain/task.js';
import { IsMandate, IsOutputSchema } from './validation.js';

const DEFAULT_TICKS = 50;
const PAGE_MAX = 100;
const TICKS_MESSAGE = { message: `must be a whole number from 1 to ${TICKS_MAX}` };
const MORE_TICKS_MAX = TICKS_MAX - 1;
const MORE_TICKS_MESSAGE = { message: `must be a whole number from 1 to ${MORE_TICKS_MAX}` };
const PAGE_MESSAGE = { message: `must be a whole number from 1 to ${PAGE_MAX}` };

/** Queries are texts; digits become a number, and anything else stays what it is and is refused. */
const digits = ({ value }: { value: unknown }): unknown =>
  typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;

/** Body of `POST /tasks`. */
export class SubmitTask {
  @ApiProperty({
    description: 'What the agent is to find out or do, in plain language.',
    minLength: 1,
    maxLength: MANDATE_MAX_CHARS,
    example: 'Which ports does Euglena have, and what serves each of them on one host?',
  })
  @IsMandate()
  mandate!: string;

  @ApiPropertyOptional({
    description: 'The budget: one tick is one action of the agent. Unused ticks go back to the daily quota.',
    type: 'integer',
    minimum: 1,
    maximum: TICKS_MAX,
    default: DEFAULT_TICKS,
  })
  @IsInt(TICKS_MESSAGE)
  @Min(1, TICKS_MESSAGE)
  @Max(TICKS_MAX, TICKS_MESSAGE)
  max_ticks: number = DEFAULT_TICKS;

  @ApiPropertyOptional({
    description:
      'A public https address that is told of the end of the task, by the Standard Webhooks specification. ' +
      '`GET /callbacks/secret` gives the secret that signs it.',
    format: 'uri',
    maxLength: CALLBACK_URL_MAX_CHARS,
    example: 'https://client.example.com/euglena',
  })
  @ValidateIf(({ callback_url: given }: { callback_url?: unknown }) => given !== undefined)
  @IsString({ message: 'must be a text' })
  @MaxLength(CALLBACK_URL_MAX_CHARS, { message: `must have at most ${CALLBACK_URL_MAX_CHARS} characters` })
  callback_url?: string;

  @ApiPropertyOptional({
    description:
      'A JSON Schema of draft 2020-12 (or 2019-09 or 7, if `$schema` says so) with "type": "object" at its root, of at most ' +
      `${OUTPUT_SCHEMA_MAX_BYTES} bytes. The result then has \`data\` that follows it, or \`data_error\` says why not. ` +
      'References must stay inside the schema.',
    type: 'object',
    additionalProperties: true,
    example: {
      type: 'object',
      properties: { ports: { type: 'array', items: { type: 'string' } } },
      required: ['ports'],
    },
  })
  @ValidateIf(({ output_schema: given }: { output_schema?: unknown }) => given !== undefined)
  @IsOutputSchema()
  output_schema?: OutputSchema;
}

/** Likewise for the words `true` and `false`. */
const words = ({ value }: { value: unknown }): unknown =>
  value === 'true' || value === 'false' ? value === 'true' : value;

/** Query of `POST /tasks`. */
export class SubmitOptions {
  @ApiPropertyOptional({
    description: 'Only says what would become of the task: nothing is stored, queued or reserved.',
    type: 'boolean',
    default: false,
  })
  @Transform(words)
  @IsBoolean({ message: 'must be true or false' })
  dry_run: boolean = false;
}

/** Body of `POST /tasks/:id/extend`. */
export class ExtendTask {
  @ApiProperty({
    description: `By how much the budget grows. Together it may have ${TICKS_MAX} ticks at most.`,
    type: 'integer',
    minimum: 1,
    maximum: MORE_TICKS_MAX,
    example: 20,
  })
  @IsInt(MORE_TICKS_MESSAGE)
  @Min(1, MORE_TICKS_MESSAGE)
  @Max(MORE_TICKS_MAX, MORE_TICKS_MESSAGE)
  ticks!: number;
}

/** Query of `GET /tasks`. */
export class ListTasks {
  @ApiPropertyOptional({ enum: VISIBLE_STATUSES, description: 'Only tasks of this status.' })
  @IsOptional()
  @IsIn(VISIBLE_STATUSES, { message: `must be one of: ${VISIBLE_STATUSES.join(', ')}` })
  status?: VisibleStatus;

  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: PAGE_MAX, default: 20 })
  @Transform(digits)
  @IsInt(PAGE_MESSAGE)
  @Min(1, PAGE_MESSAGE)
  @Max(PAGE_MAX, PAGE_MESSAGE)
  limit: number = 20;

  @ApiPropertyOptional({ description: '`next_cursor` of the page before.', maxLength: 512 })
  @IsOptional()
  @IsString({ message: 'must be a text' })
  @MaxLength(512, { message: 'must have at most 512 characters' })
  cursor?: string;
}

/** Query of `GET /tasks/:id/events`. */
export class FollowTask {
  @ApiPropertyOptional({
    description: 'Sequence number of the last entry that is known. The header `Last-Event-ID` wins.',
    type: 'integer',
    minimum: 0,
  })
  @Transform(digits)
  @IsOptional()
  @IsInt({ message: 'must be a whole number' })
  @Min(0, { message: 'must not be negative' })
  after?: number;
}
