import { Readable } from 'node:stream';
import { type BeforeApplicationShutdown, Inject, Injectable, Logger } from '@nestjs/common';
import { CLOCK } from '../config/settings.module.js';
import { type Clock } from '../domain/clock.js';
import { entryToJson, type JournalEntry } from '../domain/journal.js';
import { eventStreams } from '../observability/measures.js';
import { TASK_STORE, type TaskStore } from '../ports/task-store/task-store.port.js';
import { TaskFeed } from './task-feed.js';

/** A silent stream says that it lives, so that proxies leave it open; in ms. */
const KEEP_ALIVE_MS = 15_000;
/** What a browser waits before it connects again, in ms. */
const RECONNECT_MS = 2_000;

export interface Follower {
  readonly correlationId: string;
  /** Sequence number of the last entry that is known. */
  readonly after: number;
  /** Epoch ms at which the follower's token ends, and the stream with it. */
  readonly expiresAt: number;
  /** Aborts when the follower is gone. */
  readonly gone: AbortSignal;
}

/**
 * Journals as Server-Sent Events (WHATWG HTML, 9.2): `id` is the sequence number, `event` the entry's type, `data` the
 * whole entry with its hashes, so that what was followed can be checked against the receipt.
 */
@Injectable()
export class EventsService implements BeforeApplicationShutdown {
  private readonly logger = new Logger('Events');
  private readonly feeds = new Map<string, { feed: TaskFeed; followers: number }>();
  private readonly stopping = new AbortController();

  constructor(
    @Inject(TASK_STORE) private readonly store: TaskStore,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Tasks that are followed now. */
  get followed(): number {
    return this.feeds.size;
  }

  /** Nothing is read ahead of a slow follower: the stream asks for the next entry when it has room. */
  stream(follower: Follower): Readable {
    return Readable.from(this.frames(follower), { objectMode: false });
  }

  /** Open streams would keep the server from closing; their followers connect again, to another process. */
  beforeApplicationShutdown(): void {
    this.stopping.abort();
  }

  private async *frames({ correlationId, after, expiresAt, gone }: Follower): AsyncGenerator<string> {
    const end = AbortSignal.any([gone, this.stopping.signal]);
    if (end.aborted) return;
    const feed = this.join(correlationId);
    eventStreams.inc();
    try {
      yield `retry: ${RECONNECT_MS}\n\n`;
      let seq = after;
      while (!end.aborted && this.clock.now() < expiresAt) {
        const heard = feed.news.count;
        const over = feed.over;
        for (const entry of feed.after(seq)) {
          yield frame(entry);
          seq = entry.seq;
        }
        if (over) return;
        const left = Math.max(0, expiresAt - this.clock.now());
        const rang = await feed.news.wait(heard, Math.min(KEEP_ALIVE_MS, left), this.clock, end);
        if (!rang && !end.aborted) yield ': keep-alive\n\n';
      }
    } finally {
      eventStreams.dec();
      this.leave(feed);
    }
  }

  private join(correlationId: string): TaskFeed {
    let shared = this.feeds.get(correlationId);
    if (shared === undefined) {
      const feed = new TaskFeed(this.store, this.clock, this.logger, correlationId);
      shared = { feed, followers: 0 };
      this.feeds.set(correlationId, shared);
      // Whoever comes after the end starts a new feed: the task may have been extended.
      void feed.run().finally(() => this.forget(feed));
    }
    shared.followers += 1;
    return shared.feed;
  }

  private leave(feed: TaskFeed): void {
    const shared = this.feeds.get(feed.correlationId);
    if (shared?.feed !== feed) return;
    shared.followers -= 1;
    if (shared.followers > 0) return;
    this.forget(feed);
    feed.close();
  }

  private forget(feed: TaskFeed): void {
    if (this.feeds.get(feed.correlationId)?.feed === feed) this.feeds.delete(feed.correlationId);
  }
}

function frame(entry: JournalEntry): string {
  return `id: ${entry.seq}\nevent: ${entry.type}\ndata: ${JSON.stringify(entryToJson(entry))}\n\n`;
}
