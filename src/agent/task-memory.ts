import { Logger } from '@nestjs/common';
import { type Passage } from '../domain/situation.js';
import { LogLine } from '../observability/log-line.js';
import { type AgentMemory } from '../ports/agent-memory/agent-memory.port.js';

const RECALLED = 6;

/** One run's view of the agent memory. A memory that fails costs the run its recall, never the task. */
export class TaskMemory {
  private readonly logger = new Logger('TaskMemory');
  private failed = false;

  constructor(
    private readonly memory: AgentMemory,
    private readonly correlationId: string,
    private holdsSomething: boolean,
  ) {}

  /** Whether the last use failed. */
  get unavailable(): boolean {
    return this.failed;
  }

  async remember(passages: readonly Passage[]): Promise<void> {
    if (passages.length === 0) return;
    const kept = await this.attempt(async () => {
      await this.memory.remember(this.correlationId, passages);
      return true;
    }, false);
    this.holdsSomething ||= kept;
  }

  async recall(need: string): Promise<readonly Passage[]> {
    if (!this.holdsSomething) return [];
    return this.attempt(() => this.memory.recall(this.correlationId, need, RECALLED), []);
  }

  private async attempt<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
    try {
      const answer = await work();
      this.failed = false;
      return answer;
    } catch (error) {
      if (!this.failed) {
        const reason = error instanceof Error ? error.message : String(error);
        this.logger.warn(new LogLine(`memory is unavailable: ${reason}`, { task: this.correlationId }));
      }
      this.failed = true;
      return otherwise;
    }
  }
}
