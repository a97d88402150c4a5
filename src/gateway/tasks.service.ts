import { Inject, Injectable } from '@nestjs/common';
import { CLOCK } from '../config/settings.module.js';
import { type Clock } from '../domain/clock.js';
import { isTaskId } from '../domain/envelope.js';
import { EuglenaError } from '../domain/errors.js';
import { isTerminal } from '../domain/lifecycle.js';
import { cancellation } from '../domain/task-change.js';
import { storedStatuses, type TaskRecord, type VisibleStatus } from '../domain/task.js';
import { TASK_STORE, type TaskPage, type TaskStore } from '../ports/task-store/task-store.port.js';

/** A worker writes a few times a second at most, so a cancellation gets its turn long before this. */
const CANCEL_TRIES = 20;

/** A user's own tasks. Somebody else's task reads like one that does not exist. */
@Injectable()
export class TasksService {
  constructor(
    @Inject(TASK_STORE) private readonly store: TaskStore,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @throws EuglenaError `not_found`. */
  async find(owner: string, correlationId: string): Promise<TaskRecord> {
    const record = isTaskId(correlationId) ? await this.store.find(correlationId) : null;
    if (record?.owner !== owner) throw new EuglenaError('not_found', 'You have no task with this id.');
    return record;
  }

  list(owner: string, query: { status?: VisibleStatus; limit: number; cursor?: string }): Promise<TaskPage> {
    return this.store.list(owner, {
      limit: query.limit,
      ...(query.status === undefined ? {} : { statuses: storedStatuses(query.status) }),
      ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
    });
  }

  /** Ends the task now, whoever works on it. A task that has ended is answered as it is. */
  async cancel(owner: string, correlationId: string): Promise<TaskRecord> {
    for (let tries = 0; tries < CANCEL_TRIES; tries += 1) {
      const record = await this.find(owner, correlationId);
      if (isTerminal(record.status)) return record;
      const change = cancellation(record, this.clock.now());
      const outcome = await this.store.commit(change);
      if (outcome.kind === 'committed') return change.record;
    }
    throw new EuglenaError('engine_unavailable', 'The task changed too often to be cancelled.', {
      retryAfterSeconds: 1,
    });
  }
}
