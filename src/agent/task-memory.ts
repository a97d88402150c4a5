import { Logger } from '@nestjs/common';
import { type Passage } from '../domain/situation.js';
import { type TaskRecord } from '../domain/task.js';
import { LogLine } from '../observability/log-line.js';
import { type AgentMemory } from '../ports/agent-memory/agent-memory.port.js';
import { type EarlierTasks } from './earlier-tasks.js';

const RECALLED = 6;

/** One run's view of the agent memory. A memory that fails costs the run its recall, never the task. */
export class TaskMemory {
  private readonly logger = new Logger('TaskMemory');
  private failed = false;

  constructor(
    private readonly engines: { readonly memory: AgentMemory; readonly earlier?: EarlierTasks },
    private readonly task: Pick<TaskRecord, 'correlationId' | 'owner'>,
    /** Whether the task has read something already. */
    private holdsSomething: boolean,
  ) {}

  /** Whether the last use failed. */
  get unavailable(): boolean {
    return this.failed;
  }

  async remember(passages: readonly Passage[]): Promise<void> {
    if (passages.length === 0) return;
    const kept = await this.attempt(async () => {
      await this.engines.memory.remember(this.task.correlationId, passages);
      return true;
    }, false);
    this.holdsSomething ||= kept;
  }

  /** The task's own passages, then those of earlier tasks, if they may be recalled; each best first. */
  async recall(need: string): Promise<readonly Passage[]> {
    const { memory, earlier } = this.engines;
    const own = () => memory.recall(this.task.correlationId, need, RECALLED);
    if (earlier === undefined) return this.holdsSomething ? this.attempt(own, []) : [];
    const both = () => Promise.all([own(), earlier.recall(this.task, need)]);
    return (await this.attempt<readonly (readonly Passage[])[]>(both, [])).flat();
  }

  private async attempt<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
    try {
      const answer = await work();
      this.failed = false;
      return answer;
    } catch (error) {
      if (!this.failed) {
        const reason = error instanceof Error ? error.message : String(error);
        this.logger.warn(new LogLine(`memory is unavailable: ${reason}`, { task: this.task.correlationId }));
      }
      this.failed = true;
      return otherwise;
    }
  }
}
