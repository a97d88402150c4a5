import { finished } from 'node:stream';
import {
  Body,
  Controller,
  Get,
  Headers,
  Inject,
  Logger,
  Param,
  Post,
  Query,
  Req,
  Res,
  UseGuards,
  UsePipes,
} from '@nestjs/common';
import { ApiBearerAuth, ApiTags } from '@nestjs/swagger';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { SETTINGS } from '../config/settings.module.js';
import { type Settings } from '../config/settings.js';
import { isTerminal } from '../domain/lifecycle.js';
import { taskToApi } from '../domain/task.js';
import { CALLBACKS, type Callbacks } from '../ports/callback/callback.port.js';
import { LogLine } from '../observability/log-line.js';
import { type Caller } from '../ports/identity/identity.port.js';
import { AccessGuard } from './access.guard.js';
import { CurrentCaller } from './auth.guard.js';
import { EventsService } from './events.service.js';
import { ExtensionService } from './extension.service.js';
import { ForecastService } from './forecast.service.js';
import { SubmissionService } from './submission.service.js';
import { ExtendTask, FollowTask, ListTasks, SubmitOptions, SubmitTask } from './task.dto.js';
import {
  DescribeCancel,
  DescribeExtend,
  DescribeFind,
  DescribeFollow,
  DescribeList,
  DescribeSubmit,
} from './tasks.docs.js';
import { TasksService } from './tasks.service.js';
import { invalidFields, requestValidation } from './validation.js';

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;
/** W3C Trace Context, level 1. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

@ApiTags('tasks')
@ApiBearerAuth()
@UseGuards(AccessGuard)
@UsePipes(requestValidation)
@Controller('tasks')
export class TasksController {
  private readonly logger = new Logger('Tasks');

  constructor(
    private readonly submissions: SubmissionService,
    private readonly extensions: ExtensionService,
    private readonly forecasts: ForecastService,
    private readonly tasks: TasksService,
    private readonly events: EventsService,
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(CALLBACKS) private readonly callbacks: Callbacks,
  ) {}

  @Post()
  @DescribeSubmit()
  async submit(
    @CurrentCaller() caller: Caller,
    @Body() body: SubmitTask,
    @Query() options: SubmitOptions,
    @Headers('idempotency-key') key: string | undefined,
    @Headers('traceparent') traceparent: string | undefined,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const origin = originOf(key, traceparent);
    this.refuseBadCallback(body.callback_url);
    if (options.dry_run) {
      void reply.status(200);
      return this.forecasts.forecast(caller.userId, body.max_ticks);
    }
    const task = await this.submissions.submit({
      owner: caller.userId,
      mandate: body.mandate,
      maxTicks: body.max_ticks,
      activeLimit: this.settings.gateway.userMaxActiveTasks,
      ...origin,
      ...(body.callback_url === undefined ? {} : { callbackUrl: body.callback_url }),
      ...(body.output_schema === undefined ? {} : { outputSchema: body.output_schema }),
    });
    const about = { task: task.correlationId, user: caller.userId, request: request.id };
    this.logger.log(new LogLine('submitted', about));
    void reply.status(202).header('location', `/tasks/${task.correlationId}`);
    return taskToApi(task);
  }

  @Get()
  @DescribeList()
  async list(@CurrentCaller() caller: Caller, @Query() query: ListTasks) {
    const page = await this.tasks.list(caller.userId, query);
    return { tasks: page.tasks.map(taskToApi), next_cursor: page.nextCursor };
  }

  @Get(':id')
  @DescribeFind()
  async find(@CurrentCaller() caller: Caller, @Param('id') id: string) {
    return taskToApi(await this.tasks.find(caller.userId, id));
  }

  @Post(':id/cancel')
  @DescribeCancel()
  async cancel(
    @CurrentCaller() caller: Caller,
    @Param('id') id: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    void reply.status(200);
    return taskToApi(await this.tasks.cancel(caller.userId, id));
  }

  @Post(':id/extend')
  @DescribeExtend()
  async extend(
    @CurrentCaller() caller: Caller,
    @Param('id') id: string,
    @Body() body: ExtendTask,
    @Headers('idempotency-key') key: string | undefined,
    @Headers('traceparent') traceparent: string | undefined,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const origin = originOf(key, traceparent);
    const wanted = { owner: caller.userId, correlationId: id, ticks: body.ticks, ...origin };
    const task = await this.extensions.extend(wanted);
    const about = { task: task.correlationId, user: caller.userId, request: request.id };
    this.logger.log(new LogLine('extended', about));
    void reply.status(202).header('location', `/tasks/${task.correlationId}`);
    return taskToApi(task);
  }

  @Get(':id/events')
  @DescribeFollow()
  async follow(
    @CurrentCaller() caller: Caller,
    @Param('id') id: string,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Query() query: FollowTask,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const after = lastEventId === undefined ? (query.after ?? 0) : sequenceNumber(lastEventId);
    const task = await this.tasks.find(caller.userId, id);
    if (isTerminal(task.status) && after >= task.head.seq) {
      void reply.status(204).send();
      return;
    }
    const stream = this.events.stream({ correlationId: id, after, expiresAt: caller.expiresAt });
    // An answer to HEAD, or to a client that left, never comes to the stream's end.
    finished(reply.raw, () => stream.destroy());
    void reply
      .header('content-type', 'text/event-stream; charset=utf-8')
      .header('x-accel-buffering', 'no')
      .send(stream);
  }

  private refuseBadCallback(url: string | undefined): void {
    const refusal = url === undefined ? null : this.callbacks.refusal(url);
    if (refusal !== null) throw invalidFields([{ field: 'callback_url', message: refusal }]);
  }
}

/** What a request says of itself in headers: the client's own key, and the trace that it belongs to. */
function originOf(idempotencyKey: string | undefined, traceparent: string | undefined) {
  if (idempotencyKey !== undefined && !IDEMPOTENCY_KEY.test(idempotencyKey)) {
    throw invalidFields([{ field: 'Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' }]);
  }
  return {
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    ...(traceparent !== undefined && TRACEPARENT.test(traceparent) ? { traceparent } : {}),
  };
}

function sequenceNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw invalidFields([{ field: 'Last-Event-ID', message: 'must be the id of an event of this task' }]);
}
