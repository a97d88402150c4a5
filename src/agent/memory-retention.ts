import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { CLOCK } from '../config/settings.module.js';
import { type Clock } from '../domain/clock.js';
import { reconcilerFailures } from '../observability/measures.js';
import { AGENT_MEMORY, type AgentMemory } from '../ports/agent-memory/agent-memory.port.js';
import { TASK_STORE, type TaskStore } from '../ports/task-store/task-store.port.js';

const EVERY_MS = 60_000;
const BATCH = 100;
const HOLD_MS = 60_000;

/**
 * Deletes what agents remember of tasks that are kept no longer. The gateway, which purges the tasks, has no memory; each
 * purge leaves an entry in the task store, and any number of agents work on those. An entry goes when its memory is gone.
 */
@Injectable()
export class MemoryRetention implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('MemoryRetention');
  private readonly stopping = new AbortController();
  private sweeping: Promise<void> | undefined;

  constructor(
    @Inject(TASK_STORE) private readonly store: TaskStore,
    @Inject(AGENT_MEMORY) private readonly memory: AgentMemory,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  onApplicationBootstrap(): void {
    this.sweeping = this.sweepOn();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    await this.sweeping;
  }

  /** Deletes all that is to be deleted; answers of how many tasks. Rejects when an engine fails: then it is tried again. */
  async sweep(): Promise<number> {
    let total = 0;
    while (!this.stopping.signal.aborted) {
      const entries = await this.store.takePurged({ limit: BATCH, holdMs: HOLD_MS });
      if (entries.length === 0) break;
      const records = await Promise.all(entries.map(({ correlationId }) => this.store.find(correlationId)));
      // A new task may have taken the id: its memory goes with its own end.
      const gone = entries.filter((_, index) => records[index] === null);
      await this.memory.forget(gone.map(({ correlationId }) => correlationId));
      await this.store.clearPurged(entries);
      total += entries.length;
    }
    return total;
  }

  private async sweepOn(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await this.sweep().catch((error: unknown) => {
        reconcilerFailures.inc({ reconciler: 'memory' });
        this.logger.warn(`tried again later: ${error instanceof Error ? error.message : String(error)}`);
      });
      await this.clock.sleep(EVERY_MS, signal).catch(() => undefined);
    }
  }
}
