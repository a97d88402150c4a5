import { Logger } from '@nestjs/common';
import { type Clock } from '../domain/clock.js';
import { type Passage } from '../domain/situation.js';
import { type AgentMemory } from '../ports/agent-memory/agent-memory.port.js';

const RECALLED = 6;
/** How long a memory that failed is left alone, in ms. */
const REST_MS = 30_000;

/** One run's view of the agent memory. A memory that fails costs the run its recall, never the task. */
export class TaskMemory {
  private readonly logger = new Logger('TaskMemory');
  private writing: Promise<void> = Promise.resolve();
  private restsUntil = 0;
  private holdsSomething: boolean;

  constructor(
    private readonly memory: AgentMemory,
    private readonly clock: Clock,
    private readonly correlationId: string,
    holdsSomething: boolean,
  ) {
    this.holdsSomething = holdsSomething;
  }

  /** Whether the last use failed. */
  get unavailable(): boolean {
    return this.clock.now() < this.restsUntil;
  }

  /** Off the tick's critical path: the next recall waits for it. */
  remember(passages: readonly Passage[]): void {
    if (passages.length === 0 || this.unavailable) return;
    this.holdsSomething = true;
    this.writing = this.attempt(() => this.memory.remember(this.correlationId, passages), undefined);
  }

  async recall(need: string): Promise<readonly Passage[]> {
    await this.writing;
    if (!this.holdsSomething || this.unavailable) return [];
    return this.attempt(() => this.memory.recall(this.correlationId, need, RECALLED), []);
  }

  private async attempt<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.restsUntil = this.clock.now() + REST_MS;
      this.logger.warn(
        `${this.correlationId}: memory is unavailable: ${error instanceof Error ? error.message : ''}`,
      );
      return otherwise;
    }
  }
}
