import { type Passage } from '../../domain/situation.js';

export const AGENT_MEMORY = Symbol('AgentMemory');

/** What agents read, to be recalled by need. A task recalls its own passages only. */
export interface AgentMemory {
  /** Adding a passage that is there already (same task, source and text) changes nothing. */
  remember(correlationId: string, passages: readonly Passage[]): Promise<void>;
  /** The passages that fit `need` best, best first, at most `limit`. Any text is a valid need. */
  recall(correlationId: string, need: string, limit: number): Promise<readonly Passage[]>;
  forget(correlationIds: readonly string[]): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
