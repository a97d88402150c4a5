import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { IsIn, IsInt, IsOptional, IsString, Max, MaxLength, Min } from 'class-validator';
import { MANDATE_MAX_CHARS, TICKS_MAX } from '../domain/envelope.js';
import { VISIBLE_STATUSES, type VisibleStatus } from '../domain/task.js';
import { IsMandate } from './validation.js';

const DEFAULT_TICKS = 50;
const PAGE_MAX = 100;
const TICKS_MESSAGE = { message: `must be a whole number from 1 to ${TICKS_MAX}` };
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
}

/** Query of `GET /tasks`. */
export class ListTasks {
  @ApiPropertyOptional({ enum: VISIBLE_STATUSES })
  @IsOptional()
  @IsIn(VISIBLE_STATUSES, { message: `must be one of: ${VISIBLE_STATUSES.join(', ')}` })
  status?: VisibleStatus;

  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: PAGE_MAX, default: 20 })
  @Transform(digits)
  @IsInt(PAGE_MESSAGE)
  @Min(1, PAGE_MESSAGE)
  @Max(PAGE_MAX, PAGE_MESSAGE)
  limit: number = 20;

  @ApiPropertyOptional({ description: '`next_cursor` of the page before.' })
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

class UsageShape {
  @ApiProperty() ticks!: number;
  @ApiProperty() model_calls!: number;
  @ApiProperty() prompt_tokens!: number;
  @ApiProperty() completion_tokens!: number;
}

class SourceShape {
  @ApiProperty({ example: 's1' }) id!: string;
  @ApiProperty() url!: string;
  @ApiProperty() title!: string;
  @ApiProperty({ format: 'date-time' }) retrieved_at!: string;
  @ApiProperty({ description: 'Hex SHA-256 of the text that was read.' }) sha256!: string;
}

class ResultShape {
  @ApiProperty() answer!: string;
  @ApiProperty({ enum: ['answered', 'max_ticks'] }) exit_reason!: string;
  @ApiProperty({ type: [SourceShape] }) sources!: SourceShape[];
  @ApiProperty({ description: 'What produced the answer.' }) model!: string;
  @ApiProperty({ description: "Head of the journal's hash chain." }) receipt!: string;
}

class FailureShape {
  @ApiProperty() code!: string;
  @ApiProperty() message!: string;
}

/** A task in the API's documentation; `taskToApi` in the domain makes the real thing. */
export class TaskShape {
  @ApiProperty({ format: 'uuid' }) correlation_id!: string;
  @ApiProperty({ enum: VISIBLE_STATUSES }) status!: VisibleStatus;
  @ApiProperty() mandate!: string;
  @ApiProperty() max_ticks!: number;
  @ApiProperty() tick!: number;
  @ApiProperty({ type: ResultShape, nullable: true }) result!: ResultShape | null;
  @ApiProperty({ type: FailureShape, nullable: true }) error!: FailureShape | null;
  @ApiProperty({ type: UsageShape }) usage!: UsageShape;
  @ApiProperty({ type: String, nullable: true }) worker_id!: string | null;
  @ApiProperty({ format: 'date-time' }) created_at!: string;
  @ApiProperty({ format: 'date-time' }) updated_at!: string;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) started_at!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) finished_at!: string | null;
}

export class TaskPageShape {
  @ApiProperty({ type: [TaskShape] }) tasks!: TaskShape[];
  @ApiProperty({ type: String, nullable: true }) next_cursor!: string | null;
}
