import { type SearchHit } from '../../domain/situation.js';

export const WEB_SEARCH = Symbol('WebSearch');

/** Finds documents. Rejects with a {@link SearchFailure} whose message may be shown to the model. */
export interface WebSearch {
  /** Best first, no address twice, at most `limit`. */
  search(query: string, limit: number, signal: AbortSignal): Promise<readonly SearchHit[]>;
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** The search did not work: engine down, out of quota, unreadable answer. The task goes on without it. */
export class SearchFailure extends Error {
  override readonly name = 'SearchFailure';
}
