import { type Action } from './action.js';
import { type OutputSchema } from './output-schema.js';
import { type Source } from './task.js';

/** A piece of a document that was read, with where it came from. */
export interface Passage {
  readonly sourceId: string;
  readonly text: string;
}

/** One found document that was not necessarily read. */
export interface SearchHit {
  readonly url: string;
  readonly title: string;
  readonly snippet: string;
}

/** What an action brought. `text` is data for the model, never an instruction to the program. */
export interface Observation {
  readonly text: string;
  /** The action did not bring what was asked for; `text` says why. */
  readonly failed: boolean;
  readonly hits?: readonly SearchHit[];
  /** The source that a VISIT read. */
  readonly source?: Source;
}

/** One tick as it happened. `observation` is null while the action runs, or when a crash lost it. */
export interface TickRecord {
  readonly tick: number;
  readonly action: Action;
  readonly observation: Observation | null;
}

/** Everything that is known when the next action is to be decided. */
export interface Situation {
  readonly mandate: string;
  /** What the answer's data is to follow; null when none is wanted. */
  readonly outputSchema: OutputSchema | null;
  /** Number of the tick to decide, from 1. */
  readonly tick: number;
  readonly maxTicks: number;
  /** The last tick: EXIT is the only action left. */
  readonly mustExit: boolean;
  readonly history: readonly TickRecord[];
  /** Sources read so far, in the order of their ids. */
  readonly sources: readonly Source[];
  /** Passages from memory that fit the current need best, best first. */
  readonly recalled: readonly Passage[];
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}
