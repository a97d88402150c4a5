import { createHash, randomBytes } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../config/settings.module.js';
import { type Settings } from '../config/settings.js';
import { type Clock } from '../domain/clock.js';
import { encodeEnvelope, type TaskEnvelope, TICKS_MAX } from '../domain/envelope.js';
import { EuglenaError } from '../domain/errors.js';
import { type JournalEntry } from '../domain/journal.js';
import { nextStatus } from '../domain/lifecycle.js';
import { extensionReservation } from '../domain/reservation.js';
import { extension, type TaskChange } from '../domain/task-change.js';
import { type TaskRecord, visibleStatus } from '../domain/task.js';
import { QUOTA, type Quota } from '../ports/quota/quota.port.js';
import { TASK_STORE, type TaskStore } from '../ports/task-store/task-store.port.js';
import { WORK_QUEUE, type WorkQueue } from '../ports/work-queue/work-queue.port.js';
import { QuotaExceeded } from './quota-usage.js';
import { TasksService } from './tasks.service.js';
import { TooManyActiveTasks } from './too-many-active-tasks.js';
import { invalidFields } from './validation.js';

const JOURNAL_PAGE = 500;

export interface ExtensionRequest {
  readonly owner: string;
  readonly correlationId: string;
  /** By how many ticks the budget grows. */
  readonly ticks: number;
  /** A key of the client's own: the same key extends the task once, however often it is sent. */
  readonly idempotencyKey?: string;
  /** W3C trace context. */
  readonly traceparent?: string;
}

/**
 * Gives ended tasks more ticks. An extension has a reservation of its own, for all that the task may still use. What the
 * task used before is settled first: then the unused ticks are back, and at most one reservation of a task is open. What
 * a crash leaves half done, the reconcilers finish.
 */
@Injectable()
export class ExtensionService {
  private readonly logger = new Logger('Extension');

  constructor(
    @Inject(TASK_STORE) private readonly store: TaskStore,
    @Inject(WORK_QUEUE) private readonly queue: WorkQueue,
    @Inject(QUOTA) private readonly quota: Quota,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly tasks: TasksService,
  ) {}

  /**
   * @throws EuglenaError `not_found`, `conflict` (the task has not ended, or was cancelled), `invalid_field` (the budget
   *   would be too large), `quota_exceeded`, `too_many_active_tasks`, `idempotency_mismatch` or `engine_unavailable`.
   */
  async extend(request: ExtensionRequest): Promise<TaskRecord> {
    const { owner, correlationId, ticks } = request;
    const before = await this.tasks.find(owner, correlationId);
    const reservation = extensionReservation(correlationId, markOf(request));
    if (await this.isDone(before, reservation, request)) return before;
    refuseUnlessExtensible(before, ticks);
    await this.quota.settle(before.reservation, before.usage.ticks - before.ticksPaid);
    const change = extension(before, { ...request, reservation }, this.clock.now());
    await this.reserve(before, change.record);
    const { record, outbox } = await this.commit(request, change);
    if (outbox !== undefined) await this.publish(outbox, record.head.seq);
    return record;
  }

  /** Whether this very request, by its key, was carried out before. */
  private async isDone(
    { correlationId, reservation: newest }: TaskRecord,
    reservation: string,
    { idempotencyKey, ticks }: ExtensionRequest,
  ): Promise<boolean> {
    if (idempotencyKey === undefined || newest === correlationId) return false;
    let page: readonly JournalEntry[] = [];
    do {
      page = await this.store.journal(correlationId, page.at(-1)?.seq ?? 0, JOURNAL_PAGE);
      const found = page.find(({ type, data }) => type === 'extended' && data.reservation === reservation);
      if (found !== undefined && found.data.ticks !== ticks) throw mismatch();
      if (found !== undefined) return true;
    } while (page.length === JOURNAL_PAGE);
    return false;
  }

  private async reserve(before: TaskRecord, { owner, maxTicks, reservation }: TaskRecord): Promise<void> {
    const wanted = maxTicks - before.usage.ticks;
    const outcome = await this.quota.reserve(owner ?? '', reservation, wanted);
    if (outcome.kind === 'exceeded') throw new QuotaExceeded(outcome.usage, wanted, this.clock.now());
    // A request with this key that failed half-way left it, with another number of ticks.
    if (outcome.ticks !== wanted) throw mismatch();
  }

  /** Writes the extension. Without an outbox entry in the answer, a request with the same key wrote it. */
  private async commit(
    request: ExtensionRequest,
    change: TaskChange,
  ): Promise<{ record: TaskRecord; outbox?: TaskEnvelope }> {
    const { reservation, correlationId } = change.record;
    const { userMaxActiveTasks } = this.settings.gateway;
    try {
      const outcome = await this.store.commit({ ...change, activeLimit: userMaxActiveTasks });
      if (outcome.kind === 'committed') return change;
      const now = await this.tasks.find(request.owner, correlationId);
      if (await this.isDone(now, reservation, request)) return { record: now };
      await this.giveBack(reservation);
      if (outcome.kind === 'too_many_active') throw new TooManyActiveTasks(userMaxActiveTasks);
      throw new EuglenaError('conflict', 'The task was changed by somebody else at this moment. Look again.');
    } catch (error) {
      if (!(error instanceof EuglenaError) || error.code !== 'engine_unavailable') throw error;
      return { record: await this.storedAfterAll(request, reservation, error) };
    }
  }

  /**
   * After a write whose outcome is unknown: the record if it was stored; then the outbox has its message. If it was not,
   * the ticks go back. With a key they wait for the next try, or for the reconciler: another request with the same key may
   * be about to store what they pay for.
   */
  private async storedAfterAll(
    { owner, correlationId, idempotencyKey }: ExtensionRequest,
    reservation: string,
    error: EuglenaError,
  ): Promise<TaskRecord> {
    const record = await this.tasks.find(owner, correlationId).catch(() => {
      throw error;
    });
    if (record.reservation === reservation) return record;
    if (idempotencyKey === undefined) await this.giveBack(reservation);
    throw error;
  }

  private async giveBack(reservation: string): Promise<void> {
    try {
      await this.quota.settle(reservation, 0);
    } catch (error) {
      this.logger.warn(`The ticks of ${reservation} are given back later: ${messageOf(error)}`);
    }
  }

  /** The extension is stored and cannot be taken back: what cannot be queued now, the outbox gets to the queue. */
  private async publish(envelope: TaskEnvelope, seq: number): Promise<void> {
    const { correlationId } = envelope;
    try {
      await this.queue.publish(encodeEnvelope(envelope));
      await this.store.clearOutbox([{ correlationId, seq }]);
    } catch (error) {
      this.logger.warn(`The extension of ${correlationId} is left to the outbox: ${messageOf(error)}`);
    }
  }
}

function refuseUnlessExtensible({ status, maxTicks }: TaskRecord, ticks: number): void {
  if (nextStatus(status, 'extend') === null) {
    const reason = status === 'cancelled' ? 'was cancelled' : `is ${visibleStatus(status)}`;
    throw new EuglenaError(
      'conflict',
      `The task ${reason}; only a task that is completed or failed can be extended.`,
    );
  }
  if (maxTicks + ticks <= TICKS_MAX) return;
  const message = `must keep the budget within ${TICKS_MAX} ticks; the task has ${maxTicks}`;
  throw invalidFields([{ field: 'ticks', message }]);
}

/** The same for the same key, and never the same without one. */
function markOf({ owner, correlationId, idempotencyKey }: ExtensionRequest): string {
  if (idempotencyKey === undefined) return randomBytes(8).toString('hex');
  const text = `${owner}\n${correlationId}\n${idempotencyKey}`;
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function mismatch(): EuglenaError {
  return new EuglenaError(
    'idempotency_mismatch',
    'This Idempotency-Key was used for another extension of the task. Use a new key.',
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
