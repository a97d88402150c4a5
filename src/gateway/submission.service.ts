import { createHash, randomUUID } from 'node:crypto';
import { type BeforeApplicationShutdown, Inject, Injectable, Logger } from '@nestjs/common';
import { CLOCK } from '../config/settings.module.js';
import { type Clock } from '../domain/clock.js';
import { encodeEnvelope, type TaskEnvelope } from '../domain/envelope.js';
import { EuglenaError } from '../domain/errors.js';
import { canonicalJson } from '../domain/journal.js';
import { type OutputSchema } from '../domain/output-schema.js';
import { submission } from '../domain/task-change.js';
import { type TaskRecord } from '../domain/task.js';
import { LogLine } from '../observability/log-line.js';
import { QUOTA, type Quota } from '../ports/quota/quota.port.js';
import { type EntryVersion, TASK_STORE, type TaskStore } from '../ports/task-store/task-store.port.js';
import { UnconfirmedPublish, WORK_QUEUE, type WorkQueue } from '../ports/work-queue/work-queue.port.js';
import { QuotaExceeded } from './quota-usage.js';
import { TooManyActiveTasks } from './too-many-active-tasks.js';

/** How long a refused submission waits for its traces to be removed, in ms. The rest is done after the answer. */
const UNDO_PATIENCE_MS = 250;
/** How often that is tried again while the store is away, and for how long, in ms. */
const UNDO_EVERY_MS = 250;
const UNDO_FOR_MS = 600_000;

export interface SubmissionRequest {
  readonly owner: string;
  readonly mandate: string;
  readonly maxTicks: number;
  /** A key of the client's own: the same key and the same request are one task, however often they are sent. */
  readonly idempotencyKey?: string;
  /** W3C trace context. */
  readonly traceparent?: string;
  /** Where the end of the task is to be told. */
  readonly callbackUrl?: string;
  /** What the result's data is to follow. */
  readonly outputSchema?: OutputSchema;
  /** How many unfinished tasks the owner may have, this one included. */
  readonly activeLimit?: number;
}

/** What became of a submission that was to leave no trace. */
type Undone = 'gone' | 'stays' | 'unknown';

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
  private readonly undoing = new Set<Promise<unknown>>();
  private readonly stopping = new AbortController();

  constructor(
    @Inject(TASK_STORE) private readonly store: TaskStore,
    @Inject(WORK_QUEUE) private readonly queue: WorkQueue,
    @Inject(QUOTA) private readonly quota: Quota,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * @throws EuglenaError `quota_exceeded`, `too_many_active_tasks`, `idempotency_mismatch` (the key belongs to another
   *   request) or `engine_unavailable`.
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
    await Promise.all([this.clearing, ...this.undoing]);
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
    const { activeLimit } = request;
    const created = submission({ correlationId, ...request }, this.clock.now(), true);
    const change = activeLimit === undefined ? created : { activeLimit, ...created };
    try {
      const outcome = await this.store.commit(change);
      if (outcome.kind === 'committed') return change;
      if (outcome.kind === 'too_many_active') throw new TooManyActiveTasks(activeLimit);
      const first = await this.store.find(correlationId);
      if (first !== null) return { record: await this.replay(first, request) };
    } catch (error) {
      if (error instanceof EuglenaError && error.code === 'idempotency_mismatch') throw error;
      const nothingDone = error instanceof EuglenaError && error.nothingDone;
      // A task with a key may be there all the same: another request's.
      if (nothingDone && !keyed) await this.giveBack(correlationId);
      else await this.undo(correlationId, keyed);
      throw error;
    }
    // It was there and is gone again: its submission failed elsewhere at this very moment.
    await this.undo(correlationId, keyed);
    throw new EuglenaError('engine_unavailable', 'The task was withdrawn while it was submitted.');
  }

  /**
   * A task that cannot be queued now is withdrawn, unless it must stay: its message may be in the queue after all, another
   * process may already publish it, and a task with a key may already have been answered to a second request. Then the
   * outbox gets it to the queue.
   */
  private async publish(envelope: TaskEnvelope, seq: number, keyed: boolean): Promise<void> {
    const { correlationId } = envelope;
    try {
      await this.queue.publish(encodeEnvelope(envelope));
    } catch (error) {
      this.logger.warn(new LogLine(`Could not be queued: ${messageOf(error)}`, { task: correlationId }));
      const mustStay = keyed || error instanceof UnconfirmedPublish;
      if (mustStay || (await this.stays(correlationId))) return;
      throw new EuglenaError('engine_unavailable', 'The work queue does not answer.', { cause: error });
    }
    this.published.push({ correlationId, seq });
    this.clearing ??= this.clear();
  }

  /** Whether a task that could not be queued stays, to be queued later. Otherwise it is withdrawn, now or soon. */
  private async stays(correlationId: string): Promise<boolean> {
    try {
      if (!(await this.store.withdraw(correlationId))) return true;
    } catch (error) {
      this.logger.warn(new LogLine(`Could not be withdrawn: ${messageOf(error)}`, { task: correlationId }));
      if (error instanceof EuglenaError && error.nothingDone) return true;
      // It may be gone although its answer was lost, and must not be accepted then.
      return (await this.undo(correlationId, false)) === 'stays';
    }
    await this.giveBack(correlationId);
    return false;
  }

  /** After a write that failed or whose outcome is unknown. What cannot be undone at once is undone after the answer. */
  private undo(correlationId: string, keyed: boolean): Promise<Undone | void> {
    const undone = this.undoUntilKnown(correlationId, keyed).finally(() => this.undoing.delete(undone));
    this.undoing.add(undone);
    return Promise.race([undone, this.clock.sleep(UNDO_PATIENCE_MS)]);
  }

  /** While the store is away it goes on: a task that stays is queued from the outbox although its client was refused. */
  private async undoUntilKnown(correlationId: string, keyed: boolean): Promise<Undone> {
    const end = this.clock.now() + UNDO_FOR_MS;
    for (;;) {
      const isLast = keyed || this.stopping.signal.aborted || this.clock.now() >= end;
      try {
        // With a key, the record may be that of another request that was already accepted.
        if (!keyed) await this.store.withdraw(correlationId);
        if ((await this.store.find(correlationId)) !== null) return 'stays';
        await this.giveBack(correlationId);
        return 'gone';
      } catch (error) {
        if (isLast) {
          const text = `Is left to the reconcilers: ${messageOf(error)}`;
          this.logger.warn(new LogLine(text, { task: correlationId }));
          return 'unknown';
        }
      }
      await this.clock.sleep(UNDO_EVERY_MS, this.stopping.signal).catch(() => undefined);
    }
  }

  private async giveBack(correlationId: string): Promise<void> {
    try {
      await this.quota.settle(correlationId, 0);
    } catch (error) {
      this.logger.warn(
        new LogLine(`Its ticks are given back later: ${messageOf(error)}`, { task: correlationId }),
      );
    }
  }

  /** The task that the key stands for, if it was submitted with the same words. An extended budget does not matter. */
  private async replay(record: TaskRecord, request: SubmissionRequest): Promise<TaskRecord> {
    const [submitted] = await this.store.journal(record.correlationId, 0, 1);
    const same =
      record.owner === request.owner &&
      submitted?.data.mandate === request.mandate &&
      submitted.data.max_ticks === request.maxTicks &&
      submitted.data.callback_url === request.callbackUrl &&
      canonicalJson(submitted.data.output_schema) === canonicalJson(request.outputSchema);
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
