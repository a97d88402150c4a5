import { createHash, randomUUID } from 'node:crypto';
import { type BeforeApplicationShutdown, Inject, Injectable, Logger } from '@nestjs/common';
import { CLOCK } from '../config/settings.module.js';
import { type Clock } from '../domain/clock.js';
import { encodeEnvelope, type TaskEnvelope } from '../domain/envelope.js';
import { EuglenaError } from '../domain/errors.js';
import { submission } from '../domain/task-change.js';
import { type TaskRecord } from '../domain/task.js';
import { QUOTA, type Quota } from '../ports/quota/quota.port.js';
import { type EntryVersion, TASK_STORE, type TaskStore } from '../ports/task-store/task-store.port.js';
import { WORK_QUEUE, type WorkQueue } from '../ports/work-queue/work-queue.port.js';
import { QuotaExceeded } from './quota-usage.js';

/** How long a refused submission waits for its traces to be removed, in ms. The rest is done after the answer. */
const UNDO_PATIENCE_MS = 250;
/** How long the store is asked again to undo a submission, in ms; what it did not do then is left to the reconcilers. */
const UNDO_LIMIT_MS = 60_000;
const FIRST_UNDO_WAIT_MS = 250;
const LONGEST_UNDO_WAIT_MS = 2_000;

export interface SubmissionRequest {
  readonly owner: string;
  readonly mandate: string;
  readonly maxTicks: number;
  /** A key of the client's own: the same key and the same request are one task, however often they are sent. */
  readonly idempotencyKey?: string;
  /** W3C trace context. */
  readonly traceparent?: string;
}

/**
 * Takes tasks in. What it answers is durable; what it refuses leaves no trace: no record, no message, no ticks reserved.
 * What a crash leaves half done, the reconcilers finish.
 */
@Injectable()
export class SubmissionService implements BeforeApplicationShutdown {
  private readonly logger = new Logger('Submission');
  /** Published tasks whose outbox entries are still to be cleared. */
  private readonly published: EntryVersion[] = [];
  private clearing: Promise<void> | undefined;
  private readonly stopping = new AbortController();

  constructor(
    @Inject(TASK_STORE) private readonly store: TaskStore,
    @Inject(WORK_QUEUE) private readonly queue: WorkQueue,
    @Inject(QUOTA) private readonly quota: Quota,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * @throws EuglenaError `quota_exceeded`, `idempotency_mismatch` (the key belongs to another request) or
   *   `engine_unavailable`.
   */
  async submit(request: SubmissionRequest): Promise<TaskRecord> {
    const keyed = request.idempotencyKey !== undefined;
    const correlationId = keyed ? keyedId(request.owner, request.idempotencyKey) : randomUUID();
    if (keyed) {
      const known = await this.store.find(correlationId);
      if (known !== null) return this.replay(known, request);
    }
    await this.reserve(request, correlationId);
    const { record, outbox } = await this.commit(request, correlationId, keyed);
    if (outbox !== undefined) await this.publish(outbox, record.head.seq, keyed);
    return record;
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    await this.clearing;
  }

  private async reserve({ owner, maxTicks }: SubmissionRequest, correlationId: string): Promise<void> {
    const reservation = await this.quota.reserve(owner, correlationId, maxTicks);
    if (reservation.kind === 'exceeded') {
      throw new QuotaExceeded(reservation.usage, maxTicks, this.clock.now());
    }
    // Another request with this key came first. The reservation is that one's, and stays.
    if (reservation.ticks !== maxTicks) throw mismatch();
  }

  /** Writes the record and its outbox entry. Without an outbox entry in the answer, somebody else wrote them first. */
  private async commit(
    request: SubmissionRequest,
    correlationId: string,
    keyed: boolean,
  ): Promise<{ record: TaskRecord; outbox?: TaskEnvelope }> {
    const change = submission({ ...request, correlationId }, this.clock.now(), true);
    try {
      const outcome = await this.store.commit(change);
      if (outcome.kind === 'committed') return change;
      const first = await this.store.find(correlationId);
      if (first !== null) return { record: await this.replay(first, request) };
    } catch (error) {
      if (error instanceof EuglenaError && error.code === 'idempotency_mismatch') throw error;
      const nothingDone = error instanceof EuglenaError && error.nothingDone;
      // A task with a key may be there all the same: another request's.
      if (nothingDone && !keyed) await this.giveBack(correlationId);
      else await Promise.race([this.undo(correlationId, keyed), this.clock.sleep(UNDO_PATIENCE_MS)]);
      throw error;
    }
    // It was there and is gone again: its submission failed elsewhere at this very moment.
    await this.undo(correlationId, keyed);
    throw new EuglenaError('engine_unavailable', 'The task was withdrawn while it was submitted.');
  }

  /**
   * A task that cannot be queued now is withdrawn, unless it must stay: another process may already publish it, and a task
   * with a key may already have been answered to a second request. Then the outbox gets it to the queue.
   */
  private async publish(envelope: TaskEnvelope, seq: number, keyed: boolean): Promise<void> {
    const { correlationId } = envelope;
    try {
      await this.queue.publish(encodeEnvelope(envelope));
    } catch (error) {
      this.logger.warn(`Task ${correlationId} could not be queued: ${messageOf(error)}`);
      if (keyed || !(await this.withdraw(correlationId))) return;
      await this.giveBack(correlationId);
      throw new EuglenaError('engine_unavailable', 'The work queue does not answer.', { cause: error });
    }
    this.published.push({ correlationId, seq });
    this.clearing ??= this.clear();
  }

  private async withdraw(correlationId: string): Promise<boolean> {
    try {
      return await this.store.withdraw(correlationId);
    } catch (error) {
      this.logger.warn(`Task ${correlationId} stays, to be queued later: ${messageOf(error)}`);
      return false;
    }
  }

  /** After a write that failed or whose outcome is unknown. */
  private async undo(correlationId: string, keyed: boolean): Promise<void> {
    try {
      await this.undoNow(correlationId, keyed);
    } catch {
      void this.undoLater(correlationId, keyed);
    }
  }

  private async undoNow(correlationId: string, keyed: boolean): Promise<void> {
    // With a key, the record may be that of another request that was already accepted.
    if (!keyed) await this.store.withdraw(correlationId);
    if ((await this.store.find(correlationId)) === null) await this.giveBack(correlationId);
  }

  /** A store that was silent may do late what it was asked; the task must be gone before the outbox has it published. */
  private async undoLater(correlationId: string, keyed: boolean): Promise<void> {
    const end = this.clock.now() + UNDO_LIMIT_MS;
    for (let wait = FIRST_UNDO_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_UNDO_WAIT_MS)) {
      try {
        await this.clock.sleep(wait, this.stopping.signal);
        return await this.undoNow(correlationId, keyed);
      } catch (error) {
        if (!this.stopping.signal.aborted && this.clock.now() < end) continue;
        this.logger.warn(`Submission ${correlationId} is left to the reconcilers: ${messageOf(error)}`);
        return;
      }
    }
  }

  private async giveBack(correlationId: string): Promise<void> {
    try {
      await this.quota.settle(correlationId, 0);
    } catch (error) {
      this.logger.warn(`The ticks of ${correlationId} are given back later: ${messageOf(error)}`);
    }
  }

  /** The task that the key stands for, if it was submitted with the same words. An extended budget does not matter. */
  private async replay(record: TaskRecord, request: SubmissionRequest): Promise<TaskRecord> {
    const [submitted] = await this.store.journal(record.correlationId, 0, 1);
    const same =
      record.owner === request.owner &&
      submitted?.data.mandate === request.mandate &&
      submitted.data.max_ticks === request.maxTicks;
    if (same) return record;
    throw mismatch();
  }

  /** Clears outbox entries in batches, one batch at a time. An entry that stays is published again: harmless. */
  private async clear(): Promise<void> {
    while (this.published.length > 0) {
      const batch = this.published.splice(0);
      try {
        await this.store.clearOutbox(batch);
      } catch (error) {
        this.logger.warn(`${batch.length} outbox entries are cleared later: ${messageOf(error)}`);
      }
    }
    this.clearing = undefined;
  }
}

/** The id of a keyed submission: a version 8 uuid (RFC 9562) of SHA-256 over owner and key. */
function keyedId(owner: string, key: string | undefined): string {
  const bytes = createHash('sha256').update(`${owner}\n${key}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function mismatch(): EuglenaError {
  return new EuglenaError(
    'idempotency_mismatch',
    'This Idempotency-Key was used for another mandate or budget. Use a new key.',
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
