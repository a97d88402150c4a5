import { type Passage } from '../domain/situation.js';
import { type TaskRecord } from '../domain/task.js';
import { type AgentMemory, type RecalledPassage } from '../ports/agent-memory/agent-memory.port.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';

/** The source of passages that another task read: ids of a task's own sources begin at s1, so no answer can cite it. */
const EARLIER_SOURCE = 's0';
/** Tasks of a user that are looked at, newest first, and passages of theirs that one recall brings. */
const TASKS_MAX = 50;
const PASSAGES_MAX = 3;

/** What the earlier tasks of the same user read. A task without an owner has none. */
export class EarlierTasks {
  constructor(
    private readonly memory: AgentMemory,
    private readonly store: TaskStore,
  ) {}

  /** The passages that fit `need` best. Lists the user's tasks once. */
  async recall(
    { correlationId, owner }: Pick<TaskRecord, 'correlationId' | 'owner'>,
    need: string,
  ): Promise<readonly Passage[]> {
    if (owner === null) return [];
    const { tasks } = await this.store.list(owner, { limit: TASKS_MAX });
    const others = new Map(
      tasks.filter((task) => task.correlationId !== correlationId).map((task) => [task.correlationId, task]),
    );
    const found = await this.memory.recallAmong([...others.keys()], need, PASSAGES_MAX);
    return found.map((passage) => ({
      sourceId: EARLIER_SOURCE,
      text: `${originOf(passage, others.get(passage.correlationId))}\n${passage.text}`,
    }));
  }
}

function originOf({ sourceId }: RecalledPassage, task: TaskRecord | undefined): string {
  const url = task?.result?.sources.find(({ id }) => id === sourceId)?.url;
  const where = url === undefined ? 'Read in an earlier task' : `Read in an earlier task at ${url}`;
  return `(${where}. It cannot be cited unless it is read again.)`;
}
