import { type Passage } from '../../domain/situation.js';

export const AGENT_MEMORY = Symbol('AgentMemory');

/** A passage and whose it is. */
export interface RecalledPassage extends Passage {
  readonly correlationId: string;
}

/** What agents read, to be recalled by need. A call sees the passages of the tasks that it names, and no other. */
export interface AgentMemory {
  /** Adding a passage that is there already (same task, source and text) changes nothing. */
  remember(correlationId: string, passages: readonly Passage[]): Promise<void>;
  /** The passages that fit `need` best, best first, at most `limit`. Any text is a valid need. */
  recall(correlationId: string, need: string, limit: number): Promise<readonly Passage[]>;
  /** The passages of several tasks that fit `need` best, as {@link recall} finds them. At most 100 tasks. */
  recallAmong(
    correlationIds: readonly string[],
    need: string,
    limit: number,
  ): Promise<readonly RecalledPassage[]>;
  forget(correlationIds: readonly string[]): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
