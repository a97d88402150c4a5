import { type Observation } from '../../domain/situation.js';
import { SearchFailure, type WebSearch } from '../../ports/web-search/web-search.port.js';

const HITS = 8;

/** SEARCH: a numbered list of documents. A search that does not work is an observation, not a failure of the task. */
export async function search(webSearch: WebSearch, query: string, signal: AbortSignal): Promise<Observation> {
  try {
    const hits = await webSearch.search(query, HITS, signal);
    if (hits.length === 0)
      return { text: `Nothing was found for: ${query.slice(0, 500)}`, failed: true, hits };
    const list = hits.map(
      ({ title, url, snippet }, index) => `${index + 1}. ${title}\n   ${url}\n   ${snippet}`,
    );
    return { text: list.join('\n'), failed: false, hits };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof SearchFailure) return { text: error.message, failed: true };
    return { text: 'The search is not available.', failed: true };
  }
}
