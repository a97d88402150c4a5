import {
  Body,
  Controller,
  Get,
  Headers,
  HttpCode,
  Param,
  Post,
  Query,
  Res,
  UseGuards,
  UsePipes,
} from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBearerAuth,
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiProduces,
  ApiTags,
} from '@nestjs/swagger';
import { type FastifyReply } from 'fastify';
import { isTerminal } from '../domain/lifecycle.js';
import { taskToApi } from '../domain/task.js';
import { type Caller } from '../ports/identity/identity.port.js';
import { AuthGuard, CurrentCaller } from './auth.guard.js';
import { EventsService } from './events.service.js';
import { SubmissionService } from './submission.service.js';
import { FollowTask, ListTasks, SubmitTask, TaskPageShape, TaskShape } from './task.dto.js';
import { TasksService } from './tasks.service.js';
import { invalidFields, requestValidation } from './validation.js';

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;
/** W3C Trace Context, level 1. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

@ApiTags('tasks')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@UsePipes(requestValidation)
@Controller('tasks')
export class TasksController {
  constructor(
    private readonly submissions: SubmissionService,
    private readonly tasks: TasksService,
    private readonly events: EventsService,
  ) {}

  @Post()
  @HttpCode(202)
  @ApiOperation({ summary: 'Hand in a mandate' })
  @ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: '1 to 255 visible ASCII characters. The same key and body answer the same task.',
  })
  @ApiAcceptedResponse({ type: TaskShape, description: 'The task is durable and waits for a worker.' })
  async submit(
    @CurrentCaller() caller: Caller,
    @Body() body: SubmitTask,
    @Headers('idempotency-key') key: string | undefined,
    @Headers('traceparent') traceparent: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    if (key !== undefined && !IDEMPOTENCY_KEY.test(key)) {
      throw invalidFields([
        { field: 'Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' },
      ]);
    }
    const task = await this.submissions.submit({
      owner: caller.userId,
      mandate: body.mandate,
      maxTicks: body.max_ticks,
      ...(key === undefined ? {} : { idempotencyKey: key }),
      ...(traceparent !== undefined && TRACEPARENT.test(traceparent) ? { traceparent } : {}),
    });
    void reply.header('location', `/tasks/${task.correlationId}`);
    return taskToApi(task);
  }

  @Get()
  @ApiOperation({ summary: 'Your tasks, newest first' })
  @ApiOkResponse({ type: TaskPageShape })
  async list(@CurrentCaller() caller: Caller, @Query() query: ListTasks) {
    const page = await this.tasks.list(caller.userId, query);
    return { tasks: page.tasks.map(taskToApi), next_cursor: page.nextCursor };
  }

  @Get(':id')
  @ApiOperation({ summary: 'One task' })
  @ApiOkResponse({ type: TaskShape })
  async find(@CurrentCaller() caller: Caller, @Param('id') id: string) {
    return taskToApi(await this.tasks.find(caller.userId, id));
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @ApiOperation({ summary: 'End a task; one that has ended stays as it is' })
  @ApiOkResponse({ type: TaskShape })
  async cancel(@CurrentCaller() caller: Caller, @Param('id') id: string) {
    return taskToApi(await this.tasks.cancel(caller.userId, id));
  }

  @Get(':id/events')
  @ApiOperation({ summary: 'The journal of a task as it grows (Server-Sent Events)' })
  @ApiHeader({ name: 'Last-Event-ID', required: false, description: 'Go on behind this sequence number.' })
  @ApiProduces('text/event-stream')
  @ApiOkResponse({ description: 'One event for each journal entry; ends after `finished`.' })
  @ApiNoContentResponse({ description: 'The task has ended and you know all of it: do not reconnect.' })
  async follow(
    @CurrentCaller() caller: Caller,
    @Param('id') id: string,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Query() query: FollowTask,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const after = lastEventId === undefined ? (query.after ?? 0) : sequenceNumber(lastEventId);
    const task = await this.tasks.find(caller.userId, id);
    if (isTerminal(task.status) && after >= task.head.seq) {
      void reply.status(204).send();
      return;
    }
    const follower = { correlationId: id, after, expiresAt: caller.expiresAt, gone: gone.signal };
    void reply
      .header('content-type', 'text/event-stream; charset=utf-8')
      .header('x-accel-buffering', 'no')
      .send(this.events.stream(follower));
  }
}

function sequenceNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw invalidFields([{ field: 'Last-Event-ID', message: 'must be the id of an event of this task' }]);
}
