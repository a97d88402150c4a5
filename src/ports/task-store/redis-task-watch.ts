import { Logger } from '@nestjs/common';
import { type RedisConnection } from '../redis/redis-connection.js';

/**
 * Tells listeners that their task changed. Every process hears of every change on one channel, so that a listener that
 * comes misses nothing and a hundred listeners cost no more than one.
 */
export class RedisTaskWatch {
  private readonly logger = new Logger('RedisTaskWatch');
  private readonly listeners = new Map<string, Set<() => void>>();
  private readonly unsubscribe: () => void;
  /** Resolves once changes are heard of. */
  readonly ready: Promise<void>;

  constructor(connection: RedisConnection) {
    let begun: () => void = () => undefined;
    this.ready = new Promise((resolve) => (begun = resolve));
    this.unsubscribe = connection.subscribe(
      'tasks:changed',
      (id) => this.listeners.get(id)?.forEach((entry) => entry()),
      () => {
        begun();
        // Whoever listened before may have missed a change.
        for (const group of this.listeners.values()) group.forEach((entry) => entry());
      },
    );
  }

  add(correlationId: string, listener: () => void): () => void {
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
    this.unsubscribe();
  }

  private tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.logger.error(`A listener of a task's changes failed: ${String(error)}`);
    }
  }
}
