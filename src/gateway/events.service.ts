import { Readable } from 'node:stream';
import { type BeforeApplicationShutdown, Inject, Injectable, Logger } from '@nestjs/common';
import { CLOCK } from '../config/settings.module.js';
import { type Clock } from '../domain/clock.js';
import { TASK_STORE, type TaskStore } from '../ports/task-store/task-store.port.js';
import { TaskFeed } from './task-feed.js';

export interface Follower {
  readonly correlationId: string;
  /** Sequence number of the last entry that is known. */
  readonly after: number;
  /** Epoch ms at which the follower's token ends, and the stream with it. */
  readonly expiresAt: number;
}

/** Journals as streams of events, one feed for all who follow the same task. */
@Injectable()
export class EventsService implements BeforeApplicationShutdown {
  private readonly logger = new Logger('Events');
  private readonly feeds = new Map<string, TaskFeed>();
  private stopping = false;

  constructor(
    @Inject(TASK_STORE) private readonly store: TaskStore,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Tasks that are followed now. */
  get followed(): number {
    return this.feeds.size;
  }

  /** Whoever destroys the stream follows no longer. */
  stream({ correlationId, after, expiresAt }: Follower): Readable {
    if (this.stopping) return Readable.from([]);
    const feed = this.feeds.get(correlationId) ?? this.open(correlationId);
    return feed.follow(after, expiresAt);
  }

  /** Open streams would keep the server from closing; their followers connect again, to another process. */
  beforeApplicationShutdown(): void {
    this.stopping = true;
    for (const feed of this.feeds.values()) feed.end();
  }

  private open(correlationId: string): TaskFeed {
    // Whoever comes after the end starts a new feed: the task may have been extended.
    const closed = () => this.feeds.delete(correlationId);
    const feed = new TaskFeed(this.store, this.clock, this.logger, correlationId, closed);
    this.feeds.set(correlationId, feed);
    void feed.run();
    return feed;
  }
}
