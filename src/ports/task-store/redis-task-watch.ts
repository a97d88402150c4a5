import { Logger } from '@nestjs/common';
import { type RedisConnection } from '../redis/redis-connection.js';

/**
 * Tells listeners that something happened to their task. A process hears of every task on one channel, from its first
 * listener on, so that a listener that comes later misses nothing and a hundred listeners cost no more than one.
 */
export class RedisTaskWatch {
  private readonly logger = new Logger('RedisTaskWatch');
  private readonly listeners = new Map<string, Set<() => void>>();
  private unsubscribe: (() => void) | undefined;
  private hearing: Promise<void> | undefined;

  constructor(
    private readonly connection: RedisConnection,
    private readonly channel: string,
  ) {}

  /** Begins to listen, and resolves once it hears. */
  ready(): Promise<void> {
    this.hearing ??= new Promise((begun) => {
      this.unsubscribe = this.connection.subscribe(
        this.channel,
        (id) => this.listeners.get(id)?.forEach((entry) => entry()),
        () => {
          begun();
          // Whoever listened before may have missed something.
          for (const group of this.listeners.values()) group.forEach((entry) => entry());
        },
      );
    });
    return this.hearing;
  }

  add(correlationId: string, listener: () => void): () => void {
    void this.ready();
    const group = this.listeners.get(correlationId) ?? new Set();
    this.listeners.set(correlationId, group);
    // An own function for each call: the same listener may be given twice.
    const entry = () => this.tell(listener);
    group.add(entry);
    return () => {
      group.delete(entry);
      if (group.size === 0 && this.listeners.get(correlationId) === group)
        this.listeners.delete(correlationId);
    };
  }

  stop(): void {
    this.listeners.clear();
    this.unsubscribe?.();
  }

  private tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.logger.error(`A listener of a task's changes failed: ${String(error)}`);
    }
  }
}
