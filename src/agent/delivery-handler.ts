import { Logger } from '@nestjs/common';
import { type Settings } from '../config/settings.js';
import { readEnvelope, type TaskEnvelope } from '../domain/envelope.js';
import { type ErrorCode, EuglenaError } from '../domain/errors.js';
import { isTerminal } from '../domain/lifecycle.js';
import { failure, submission } from '../domain/task-change.js';
import { LogLine } from '../observability/log-line.js';
import { endedTasks, runningTasks, taskSeconds } from '../observability/measures.js';
import { inSpan, SpanKind, type TraceContext, traceOf } from '../observability/spans.js';
import { type ClaimOutcome, type TaskStore } from '../ports/task-store/task-store.port.js';
import { type Delivery } from '../ports/work-queue/work-queue.port.js';
import { JournalWriter } from './journal-writer.js';
import { RunAborted } from './run-aborted.js';
import { type RunningTask, type RunningTasks } from './running-tasks.js';
import { type Engines, TaskRun } from './task-run.js';

/** Claims without progress after which a task is given up. */
export const MAX_ATTEMPTS = 5;
const NEWER_VERSION_WAIT_MS = 30_000;
const SHORTEST_PARK_MS = 250;
const DAY_MS = 86_400_000;

type Claimed = Extract<ClaimOutcome, { kind: 'claimed' }>;

/** What a worker does with one message: read, claim, run, settle. The message is settled only after the task is stored. */
export class DeliveryHandler {
  private readonly logger = new Logger('Worker');

  constructor(
    private readonly workerId: string,
    private readonly store: TaskStore,
    private readonly engines: Engines,
    private readonly settings: Settings,
    private readonly running: RunningTasks,
  ) {}

  async handle(delivery: Delivery): Promise<void> {
    const reading = readEnvelope(delivery.body);
    if (reading.kind === 'newer') return delivery.defer(NEWER_VERSION_WAIT_MS);
    if (reading.kind === 'envelope') return this.take(reading.envelope, delivery);
    this.logger.warn(`a message was dead-lettered: ${reading.reason}`);
    if (reading.correlationId !== null) await this.failPending(reading.correlationId, reading.reason);
    return delivery.deadLetter(reading.reason);
  }

  private async take(envelope: TaskEnvelope, delivery: Delivery): Promise<void> {
    const now = this.engines.clock.now();
    const creation = submission(envelope, envelope.createdAt ?? now, false);
    const claim = await this.store.claim(creation, this.workerId, this.settings.agent.leaseMs);
    if (claim.kind === 'finished') return delivery.ack();
    if (claim.kind === 'busy') return delivery.defer(Math.max(claim.retryAfterMs, SHORTEST_PARK_MS));
    const tooOld = now - claim.record.createdAt > this.settings.retentionDays * DAY_MS;
    await this.running.hold(claim.lease, this.settings.agent.deadlineMs, async (task) => {
      const writer = new JournalWriter(this.store, this.engines.clock, claim, task.abort.signal);
      if (tooOld && claim.journal.length <= 1) {
        await this.giveUp(writer, 'expired', 'The task waited longer than tasks are kept.');
        return delivery.ack();
      }
      if (claim.attempt > MAX_ATTEMPTS) {
        const reason = `gave up after ${MAX_ATTEMPTS} attempts`;
        await this.giveUp(writer, 'attempts_exhausted', `The worker ${reason} without progress.`);
        return delivery.deadLetter(reason);
      }
      const attributes = {
        'euglena.correlation_id': envelope.correlationId,
        'euglena.attempt': claim.attempt,
      };
      await inSpan(
        'task',
        traceOf(envelope.traceparent),
        attributes,
        (trace) => this.run(claim, task, writer, delivery, trace),
        SpanKind.CONSUMER,
      );
    });
  }

  private async run(
    claim: Claimed,
    task: RunningTask,
    writer: JournalWriter,
    delivery: Delivery,
    trace: TraceContext,
  ): Promise<void> {
    const { correlationId } = claim.lease;
    const about = {
      task: correlationId,
      ...(claim.record.owner === null ? {} : { user: claim.record.owner }),
    };
    const done = claim.record.usage.ticks;
    this.logger.log(new LogLine(`started (attempt ${claim.attempt}, ${done} ticks done)`, about));
    runningTasks.inc();
    writer.later({ kind: 'accepted', at: this.engines.clock.now() });
    try {
      const run = new TaskRun(this.engines, writer, claim.journal, task.abort.signal, trace);
      this.running.begin(task, run);
      await run.run();
      const { status, usage, startedAt, finishedAt } = writer.record;
      this.logger.log(new LogLine(`${status} after ${usage.ticks} ticks`, about));
      endedTasks.inc({ status });
      taskSeconds.observe(((finishedAt ?? 0) - (startedAt ?? 0)) / 1_000);
      await delivery.ack();
    } catch (error) {
      const aborted = task.abort.signal.aborted ? (task.abort.signal.reason as unknown) : error;
      if (aborted instanceof RunAborted) return this.settleAborted(aborted, correlationId, writer, delivery);
      this.logger.error(new LogLine(`this attempt failed: ${describe(error)}`, about));
      await this.store.surrender(claim.lease).catch(() => undefined);
      throw error;
    } finally {
      runningTasks.dec();
      task.abort.abort(new RunAborted('lease_lost'));
    }
  }

  private async settleAborted(
    { reason }: RunAborted,
    correlationId: string,
    writer: JournalWriter,
    delivery: Delivery,
  ): Promise<void> {
    this.logger.log(new LogLine(`left (${reason})`, { task: correlationId }));
    try {
      if (reason === 'drain') {
        await writer.release('drain');
        return await delivery.defer(0);
      }
      if (reason === 'deadline') {
        const seconds = this.settings.agent.deadlineMs / 1_000;
        await this.giveUp(writer, 'deadline_exceeded', `The task ran longer than ${seconds} seconds.`);
        return await delivery.ack();
      }
      await writer.restoreIfLost();
    } catch (error) {
      // The lease went in the meantime: what is stored decides.
      if (!(error instanceof RunAborted)) throw error;
    }
    const stored = await this.store.find(correlationId);
    // A task that the store lost is made anew from its message.
    if (stored !== null && isTerminal(stored.status)) return delivery.ack();
    return delivery.defer(SHORTEST_PARK_MS);
  }

  private giveUp(writer: JournalWriter, code: ErrorCode, message: string): Promise<void> {
    return writer.fail({ code, message });
  }

  /** A task whose message is unreadable would wait for ever. One that runs, or has ended, is not ours to touch. */
  private async failPending(correlationId: string, reason: string): Promise<void> {
    const stored = await this.store.find(correlationId);
    if (stored?.status !== 'pending') return;
    const error = { code: 'bad_envelope' as const, message: `The queued message is unreadable: ${reason}.` };
    await this.store.commit(failure(stored, error, this.engines.clock.now()));
  }
}

function describe(error: unknown): string {
  if (error instanceof EuglenaError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
