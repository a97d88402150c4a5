import { type Logger } from '@nestjs/common';
import { type Clock } from '../domain/clock.js';
import { entryToJson, type JournalEntry } from '../domain/journal.js';
import { isTerminal } from '../domain/lifecycle.js';
import { eventStreams } from '../observability/measures.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';
import { Bell } from './bell.js';
import { EventStream, type Followed } from './event-stream.js';

/** How often the journal is read although nobody said that it grew, in ms. */
const POLL_MS = 5_000;
/** After this silence the streams say that they live, in ms. */
const KEEP_ALIVE_MS = 15_000;
const PAGE = 500;

/** The journal of one task as it grows, read and rendered once for all who follow it. */
export class TaskFeed implements Followed {
  readonly frames: Buffer[] = [];
  private readonly streams = new Set<EventStream>();
  /** The store's hints that the task changed. */
  private readonly hints = new Bell();
  /** Rings when a stream has to end before the alarm would go off. */
  private readonly haste = new Bell();
  private readonly closing = new AbortController();
  private isOver = false;
  private aliveAt = 0;
  private alarmAt = 0;

  constructor(
    private readonly store: TaskStore,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly correlationId: string,
    /** Called once, when nobody may join any more. */
    private readonly closed: () => void,
  ) {}

  get over(): boolean {
    return this.isOver;
  }

  /** The entries behind sequence number `after`, for one more follower. */
  follow(after: number, expiresAt: number): EventStream {
    const stream = new EventStream(this, after, expiresAt);
    this.streams.add(stream);
    eventStreams.inc();
    if (expiresAt < this.alarmAt) this.haste.ring();
    return stream;
  }

  leave(stream: EventStream): void {
    if (!this.streams.delete(stream)) return;
    eventStreams.dec();
    if (this.streams.size === 0) this.close();
  }

  /** Reads until the task has ended or the feed is closed; then there is nothing more to come. Never rejects. */
  async run(): Promise<void> {
    const unwatch = this.store.watch(this.correlationId, () => this.hints.ring());
    void this.tend();
    try {
      while (!this.closing.signal.aborted) {
        const heard = this.hints.count;
        if (await this.read()) break;
        await this.hints.wait(heard, POLL_MS, this.clock, this.closing.signal);
      }
    } finally {
      unwatch();
      this.close();
      this.isOver = true;
      for (const stream of this.streams) stream.advance();
    }
  }

  /** Ends all streams now. */
  end(): void {
    this.close();
    for (const stream of this.streams) this.dismiss(stream);
  }

  private close(): void {
    if (this.closing.signal.aborted) return;
    this.closing.abort();
    this.closed();
  }

  private dismiss(stream: EventStream): void {
    stream.finish();
    this.leave(stream);
  }

  /** Ends each stream with its token, and keeps the others alive. */
  private async tend(): Promise<void> {
    this.aliveAt = this.clock.now() + KEEP_ALIVE_MS;
    while (!this.closing.signal.aborted) {
      const now = this.clock.now();
      for (const stream of this.streams) if (stream.expiresAt <= now) this.dismiss(stream);
      if (this.aliveAt <= now) {
        for (const stream of this.streams) stream.keepAlive();
        this.aliveAt = now + KEEP_ALIVE_MS;
      }
      this.alarmAt = this.aliveAt;
      for (const { expiresAt } of this.streams) this.alarmAt = Math.min(this.alarmAt, expiresAt);
      await this.haste.wait(this.haste.count, this.alarmAt - now, this.clock, this.closing.signal);
    }
  }

  /** True when the task has ended and its journal is read to the end. */
  private async read(): Promise<boolean> {
    try {
      let page: readonly JournalEntry[];
      do {
        page = await this.store.journal(this.correlationId, this.frames.length, PAGE);
        this.publish(page);
      } while (page.length === PAGE);
      const last = page.at(-1);
      if (last !== undefined && last.type !== 'finished') return false;
      const record = await this.store.find(this.correlationId);
      return record === null || (isTerminal(record.status) && record.head.seq === this.frames.length);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.logger.warn(`The journal of ${this.correlationId} cannot be read now: ${reason}`);
      return false;
    }
  }

  private publish(page: readonly JournalEntry[]): void {
    if (page.length === 0) return;
    for (const entry of page) this.frames.push(frame(entry));
    for (const stream of this.streams) stream.advance();
    this.aliveAt = this.clock.now() + KEEP_ALIVE_MS;
  }
}

/**
 * An entry as Server-Sent Event (WHATWG HTML, 9.2): `id` is the sequence number, `event` the entry's type, `data` the
 * whole entry with its hashes, so that what was followed can be checked against the receipt.
 */
function frame(entry: JournalEntry): Buffer {
  const data = JSON.stringify(entryToJson(entry));
  return Buffer.from(`id: ${entry.seq}\nevent: ${entry.type}\ndata: ${data}\n\n`);
}
