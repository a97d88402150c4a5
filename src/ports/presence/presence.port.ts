import { type WorkerPresence } from '../../domain/presence.js';

export const PRESENCE = Symbol('Presence');

/** Which workers are alive, and what they do. A worker that stops beating is gone after its TTL. */
export interface Presence {
  /** The worker lives for another `ttlMs`. */
  beat(worker: WorkerPresence, ttlMs: number): Promise<void>;
  /** The worker is gone at once. */
  leave(workerId: string): Promise<void>;
  /** Live workers only; entries of dead ones are cleaned up on the way. */
  list(): Promise<readonly WorkerPresence[]>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
