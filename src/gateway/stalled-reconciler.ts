import { Logger } from '@nestjs/common';
import { encodeEnvelope } from '../domain/envelope.js';
import { envelopeOf } from '../domain/task-change.js';
import { LogLine } from '../observability/log-line.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';
import { type WorkQueue } from '../ports/work-queue/work-queue.port.js';
import { type Reconciler } from './reconcilers.js';

const BATCH = 100;
/** Younger ones may still be on their way. */
const STALLED_MS = 60_000;

/**
 * Publishes tasks again whose message is gone although they have not ended: an engine lost what it had confirmed. A task
 * must be found twice, each time with nothing in the queue that could be its message. A message too many is harmless: who
 * takes it finds the task in other hands, or ended.
 */
export class StalledReconciler implements Reconciler {
  readonly name = 'stalled tasks';
  readonly everyMs = 30_000;
  private readonly logger = new Logger('Stalled');
  private seen: ReadonlySet<string> = new Set();

  constructor(
    private readonly store: TaskStore,
    private readonly queue: WorkQueue,
  ) {}

  async tick(): Promise<number> {
    const { ready } = await this.queue.depth();
    const found = ready > 0 ? [] : await this.store.stalled(STALLED_MS, BATCH);
    const again = found.filter(({ correlationId }) => this.seen.has(correlationId));
    this.seen = new Set(
      found.filter((one) => !again.includes(one)).map(({ correlationId }) => correlationId),
    );
    await Promise.all(again.map((record) => this.queue.publish(encodeEnvelope(envelopeOf(record)))));
    for (const { correlationId } of again) {
      this.logger.warn(new LogLine('had no message any more and is queued again', { task: correlationId }));
    }
    return again.length;
  }
}
