import { Logger } from '@nestjs/common';
import { type EmbeddedDatabase } from '../embedded/embedded-database.js';

/**
 * Tells listeners that their task changed. Every commit of a task takes the next change number, in the order of the
 * commits, so that one small query per commit finds what changed, however many listeners wait.
 */
export class SqliteTaskWatch {
  private readonly logger = new Logger('SqliteTaskWatch');
  private readonly listeners = new Map<string, Set<() => void>>();
  private unsubscribe: (() => void) | undefined;
  private seen = 0;

  constructor(private readonly database: EmbeddedDatabase) {}

  add(correlationId: string, listener: () => void): () => void {
    if (this.unsubscribe === undefined) this.subscribe();
    const group = this.listeners.get(correlationId) ?? new Set();
    this.listeners.set(correlationId, group);
    // An own function for each call: the same listener may be given twice.
    const entry = () => this.tell(listener);
    group.add(entry);
    return () => this.drop(correlationId, entry);
  }

  stop(): void {
    this.listeners.clear();
    this.unsubscribe?.();
    this.unsubscribe = undefined;
  }

  private drop(correlationId: string, entry: () => void): void {
    const group = this.listeners.get(correlationId);
    group?.delete(entry);
    if (group?.size === 0) this.listeners.delete(correlationId);
    if (this.listeners.size === 0) this.stop();
  }

  private subscribe(): void {
    // Subscribe first: a commit between the two lines is then reported or already counted in, never missed.
    this.unsubscribe = this.database.onChange(() => this.look());
    this.seen = this.database.get<{ last: number }>('SELECT last FROM task_changes')?.last ?? 0;
  }

  private look(): void {
    for (const { correlation_id, change } of this.changedRows()) {
      this.seen = change;
      this.listeners.get(correlation_id)?.forEach((entry) => entry());
    }
  }

  private changedRows(): { correlation_id: string; change: number }[] {
    try {
      const sql = 'SELECT correlation_id, change FROM tasks WHERE change > ? ORDER BY change';
      return this.database.all(sql, this.seen);
    } catch (error) {
      this.logger.warn(`Changed tasks cannot be looked up; the next change tells of them: ${String(error)}`);
      return [];
    }
  }

  /** A commit that is done must not look failed to its writer because a listener throws. */
  private tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.logger.error(`A listener of a task's changes failed: ${String(error)}`);
    }
  }
}
