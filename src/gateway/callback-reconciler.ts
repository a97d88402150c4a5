import { Logger } from '@nestjs/common';
import { afterAttempt, type Callback, type CallbackFailure, waitAfter } from '../domain/callback.js';
import { type Clock, isoTime } from '../domain/clock.js';
import { isTerminal } from '../domain/lifecycle.js';
import { callbackReport } from '../domain/task-change.js';
import { type TaskRecord, taskToApi } from '../domain/task.js';
import { LogLine } from '../observability/log-line.js';
import { callbackAttempts } from '../observability/measures.js';
import { type Callbacks } from '../ports/callback/callback.port.js';
import { type EntryVersion, type TaskStore } from '../ports/task-store/task-store.port.js';
import { type Reconciler } from './reconcilers.js';

/** Receivers that are told at once. The slowest of them holds the others up for one attempt's time. */
const BATCH = 50;
/** Longer than an attempt takes. Whoever crashes meanwhile leaves the entry to the others. */
const HOLD_MS = 60_000;
const REPORT_TRIES = 3;

/**
 * Tells the ends of tasks to the addresses that their owners named, at least once each, and writes into the record how it
 * went. An end that could not be told after the last attempt stays visible there as `failed`.
 */
export class CallbackReconciler implements Reconciler {
  readonly name = 'callbacks';
  readonly everyMs = 1_000;
  private readonly logger = new Logger('Callbacks');

  constructor(
    private readonly store: TaskStore,
    private readonly callbacks: Callbacks,
    private readonly clock: Clock,
    /** From 0 to below 1; spreads the attempts. */
    private readonly random: () => number,
  ) {}

  async tick(): Promise<number> {
    const entries = await this.store.takeCallbacks({ limit: BATCH, holdMs: HOLD_MS });
    const outcomes = await Promise.allSettled(entries.map((entry) => this.tell(entry)));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return entries.length;
  }

  private async tell(entry: EntryVersion): Promise<void> {
    const record = await this.store.find(entry.correlationId);
    // An extended task has another end to tell.
    if (!isToBeTold(record)) return this.store.clearCallbacks([entry]);
    const failure = await this.callbacks.send({
      id: `${entry.correlationId}.${entry.seq}`,
      url: record.callback.url,
      owner: record.owner ?? '',
      body: JSON.stringify(messageOf(record)),
    });
    const callback = afterAttempt(record.callback, failure);
    await this.report(record, callback);
    this.log(entry, callback, failure);
    if (callback.state !== 'waiting') return this.store.clearCallbacks([entry]);
    await this.store.postponeCallback(entry, waitAfter(callback.attempts, this.random));
  }

  /** The receiver knows, or not, whatever becomes of this note; another writer's change is no reason to tell it again. */
  private async report(before: TaskRecord, callback: Callback): Promise<void> {
    let record: TaskRecord | null = before;
    for (let tries = 0; isToBeTold(record) && tries < REPORT_TRIES; tries += 1) {
      const { kind } = await this.store.commit(callbackReport(record, callback));
      if (kind === 'committed') return;
      record = await this.store.find(before.correlationId);
    }
  }

  private log({ correlationId }: EntryVersion, callback: Callback, failure: CallbackFailure): void {
    callbackAttempts.inc({ outcome: callback.state === 'waiting' ? 'retried' : callback.state });
    if (failure === null) return;
    const text = `Callback attempt ${callback.attempts} failed: ${failure.reason}`;
    const about = { task: correlationId };
    if (callback.state === 'failed') this.logger.error(new LogLine(`${text} It was the last one.`, about));
    else this.logger.warn(new LogLine(text, about));
  }
}

function isToBeTold(record: TaskRecord | null): record is TaskRecord & { callback: Callback } {
  return record !== null && isTerminal(record.status) && record.callback?.state === 'waiting';
}

/** The body of a callback, in the form that the Standard Webhooks specification suggests. */
function messageOf(record: TaskRecord) {
  return {
    type: `task.${record.status}`,
    timestamp: isoTime(record.finishedAt ?? record.updatedAt),
    data: taskToApi(record),
  };
}
