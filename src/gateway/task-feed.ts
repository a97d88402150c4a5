import { type Logger } from '@nestjs/common';
import { type Clock } from '../domain/clock.js';
import { type JournalEntry } from '../domain/journal.js';
import { isTerminal } from '../domain/lifecycle.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';
import { Bell } from './bell.js';

/** How often the journal is read although nobody said that it grew, in ms. */
const POLL_MS = 5_000;
const PAGE = 500;

/** The journal of one task as it grows, read once for all who follow it. */
export class TaskFeed {
  /** Rings when there are new entries, and at the end. */
  readonly news = new Bell();
  /** The store's hints that the task changed. */
  private readonly hints = new Bell();
  private readonly closing = new AbortController();
  private readonly entries: JournalEntry[] = [];
  private isOver = false;

  constructor(
    private readonly store: TaskStore,
    private readonly clock: Clock,
    private readonly logger: Logger,
    readonly correlationId: string,
  ) {}

  /** Reads until the task has ended or the feed is closed; then there is nothing more to come. Never rejects. */
  async run(): Promise<void> {
    const unwatch = this.store.watch(this.correlationId, () => this.hints.ring());
    try {
      while (!this.closing.signal.aborted) {
        const heard = this.hints.count;
        if (await this.read()) break;
        await this.hints.wait(heard, POLL_MS, this.clock, this.closing.signal);
      }
    } finally {
      unwatch();
      this.isOver = true;
      this.news.ring();
    }
  }

  /** Whether {@link after} will never give more than it gives now. */
  get over(): boolean {
    return this.isOver;
  }

  /** Entries behind sequence number `seq` that are known by now. */
  after(seq: number): readonly JournalEntry[] {
    return this.entries.slice(Math.min(seq, this.entries.length));
  }

  close(): void {
    this.closing.abort();
  }

  /** True when the task has ended and its journal is read to the end. */
  private async read(): Promise<boolean> {
    try {
      let page: readonly JournalEntry[];
      do {
        page = await this.store.journal(this.correlationId, this.entries.length, PAGE);
        this.entries.push(...page);
        if (page.length > 0) this.news.ring();
      } while (page.length === PAGE);
      const last = this.entries.at(-1);
      if (page.length > 0 && last?.type !== 'finished') return false;
      const record = await this.store.find(this.correlationId);
      return record === null || (isTerminal(record.status) && record.head.seq === last?.seq);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.logger.warn(`The journal of ${this.correlationId} cannot be read now: ${reason}`);
      return false;
    }
  }
}
