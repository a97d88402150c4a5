import { type TaskEnvelope } from '../../domain/envelope.js';
import { type JournalEntry } from '../../domain/journal.js';
import { type TaskRecord, type TaskStatus } from '../../domain/task.js';
import { type Lease, type Settlement, type TaskChange } from '../../domain/task-change.js';

export const TASK_STORE = Symbol('TaskStore');

export type CommitOutcome =
  | { readonly kind: 'committed' }
  /** The journal ends elsewhere than expected: somebody else wrote first. Read again and decide anew. */
  | { readonly kind: 'conflict' }
  /** The lease is no longer the writer's: stop working on the task. */
  | { readonly kind: 'lease_lost' }
  /** The owner has as many unfinished tasks as the change's `activeLimit` allows. */
  | { readonly kind: 'too_many_active' };

export type ClaimOutcome =
  | {
      readonly kind: 'claimed';
      readonly lease: Lease;
      readonly record: TaskRecord;
      /** The whole journal: what a resumed run goes on from. */
      readonly journal: readonly JournalEntry[];
      /** Claims since the task last made progress (committed a tick) or was released; 1 for the first. */
      readonly attempt: number;
    }
  /** Another worker holds a live lease, for at most `retryAfterMs` longer. */
  | { readonly kind: 'busy'; readonly retryAfterMs: number }
  /** The task is terminal: there is nothing to do. */
  | { readonly kind: 'finished'; readonly record: TaskRecord };

export interface TaskPage {
  readonly tasks: readonly TaskRecord[];
  /** Opaque; null on the last page. */
  readonly nextCursor: string | null;
}

/** One version of a task's entry in the outbox, among the settlements or among the callbacks. */
export interface EntryVersion {
  readonly correlationId: string;
  /** Sequence number at which the change that made the entry left the journal: its record's `head.seq`. */
  readonly seq: number;
}

export interface OutboxItem {
  /** See {@link EntryVersion}. */
  readonly seq: number;
  readonly envelope: TaskEnvelope;
}

export interface SettlementItem {
  /** See {@link EntryVersion}. */
  readonly seq: number;
  readonly settlement: Settlement;
}

/**
 * Tasks, their journals, leases, outbox and settlements. Each method is one atomic step and, in the distributed adapter,
 * one round trip. A change that was answered `committed` survives a crash of every process. Engine failures reject with
 * {@link EuglenaError} `engine_unavailable`, and nothing is half-written.
 */
export interface TaskStore {
  find(correlationId: string): Promise<TaskRecord | null>;

  /**
   * Applies a change whole or not at all. A change with a lease also renews that lease for its full length. One with a
   * lease and the whole journal (`expectedSeq` 0) gives a task that the engine lost back to it, with that lease.
   */
  commit(change: TaskChange): Promise<CommitOutcome>;

  /**
   * Takes the lease of a task for `leaseMs`. A task without a record is created by `creation` (see `submission`) first.
   * Neither record nor journal change otherwise.
   */
  claim(creation: TaskChange, workerId: string, leaseMs: number): Promise<ClaimOutcome>;

  /** Renews leases for their full length; answers those that are lost. */
  renew(leases: readonly Lease[]): Promise<readonly Lease[]>;

  /** Gives a lease back without a change to the task, so that the next claim need not wait for it to run out. */
  surrender(lease: Lease): Promise<void>;

  /** Entries with a sequence number above `afterSeq`, in order, at most `limit`. Empty for an unknown task. */
  journal(correlationId: string, afterSeq: number, limit: number): Promise<readonly JournalEntry[]>;

  /** A user's own tasks, newest first. An unreadable cursor reads like none. */
  list(
    owner: string,
    query: { readonly statuses?: readonly TaskStatus[]; readonly limit: number; readonly cursor?: string },
  ): Promise<TaskPage>;

  /** How many unfinished tasks a user has. */
  active(owner: string): Promise<number>;

  /** Removes a task that is still `pending`, was never claimed and whose outbox entry nobody took; true when removed. */
  withdraw(correlationId: string): Promise<boolean>;

  /**
   * Outbox entries that have waited `olderThanMs` or longer, held for the caller for `holdMs`: nobody else gets them until
   * then. An entry stays until {@link clearOutbox}.
   */
  takeOutbox(options: { limit: number; olderThanMs: number; holdMs: number }): Promise<readonly OutboxItem[]>;
  /** Removes these entries. A task's newer entry stays: it was made after the one that was published. */
  clearOutbox(entries: readonly EntryVersion[]): Promise<void>;

  /** Settlements not yet told to the quota; held and cleared like outbox entries. */
  takeSettlements(options: { limit: number; holdMs: number }): Promise<readonly SettlementItem[]>;
  clearSettlements(entries: readonly EntryVersion[]): Promise<void>;

  /** Ends that are still to be told to their callbacks; held and cleared like outbox entries. */
  takeCallbacks(options: { limit: number; holdMs: number }): Promise<readonly EntryVersion[]>;
  /** Hands an entry out again after `delayMs`, unless a newer one took its place. */
  postponeCallback(entry: EntryVersion, delayMs: number): Promise<void>;
  clearCallbacks(entries: readonly EntryVersion[]): Promise<void>;

  /**
   * Calls `listener` soon after a task changed, in whichever process. Only a hint: it may come late, twice or, when the
   * engine was away, not at all. Returns the way to stop.
   */
  watch(correlationId: string, listener: () => void): () => void;

  /**
   * Like {@link watch}, but of ends only that somebody wrote who does not hold the task's lease, such as its owner's
   * cancellation: a worker need not hear of its own writes. May be called for other changes too.
   */
  watchEnd(correlationId: string, listener: () => void): () => void;

  /** Unfinished tasks, older than `olderThanMs`, that nobody holds a live lease of; oldest first, at most `limit`. */
  stalled(olderThanMs: number, limit: number): Promise<readonly TaskRecord[]>;

  /**
   * Removes tasks that became terminal before `finishedBefore` (epoch ms), at most `limit`; answers their ids. Each leaves
   * an entry among the purged ones, for what is kept elsewhere.
   */
  purge(finishedBefore: number, limit: number): Promise<readonly string[]>;

  /** Purged tasks whose memory is still to be deleted; held and cleared like outbox entries. */
  takePurged(options: { limit: number; holdMs: number }): Promise<readonly EntryVersion[]>;
  clearPurged(entries: readonly EntryVersion[]): Promise<void>;

  /** Rejects when the engine cannot serve. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
