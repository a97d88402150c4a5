import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type WebSearch } from '../../src/ports/web-search/web-search.port.js';
import { parseUrl } from '../../src/domain/parse-url.js';

/** What an adapter brings to the suite. */
export interface WebSearchHarness {
  readonly search: WebSearch;
  /** A query with at least three results. */
  readonly query: string;
  close(): Promise<void>;
}

/** What every search must do, wherever it looks. */
export function webSearchContract(name: string, open: () => Promise<WebSearchHarness>): void {
  describe(`web search on ${name}`, () => {
    let harness: WebSearchHarness;
    let search: WebSearch;
    const signal = new AbortController().signal;
    beforeEach(async () => {
      harness = await open();
      search = harness.search;
    });
    afterEach(() => harness.close());

    it('finds documents, each with its address, title and a snippet', async () => {
      const hits = await search.search(harness.query, 10, signal);
      expect(hits.length).toBeGreaterThanOrEqual(3);
      for (const hit of hits) {
        expect(parseUrl(hit.url)).not.toBeNull();
        expect(hit.title.trim()).not.toBe('');
        expect(hit.snippet.length).toBeLessThanOrEqual(1_000);
      }
      expect(new Set(hits.map(({ url }) => url)).size).toBe(hits.length);
    });

    it('gives the best ones within the limit', async () => {
      const [first, second] = await search.search(harness.query, 10, signal);
      expect(await search.search(harness.query, 2, signal)).toEqual([first, second]);
      expect(await search.search(harness.query, 0, signal)).toEqual([]);
    });

    it('takes any query', async () => {
      const odd = ['', ' ', '"', '* OR NOT (', "'; DROP TABLE x; --", '\0', '\ud800', 'x'.repeat(100_000)];
      const queries = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...odd));
      await fc.assert(
        fc.asyncProperty(queries, async (query) => {
          expect(Array.isArray(await search.search(query, 3, signal))).toBe(true);
        }),
        { numRuns: 50 },
      );
    });

    it("rejects with the signal's reason when it aborts, before and during the search", async () => {
      const reason = new Error('cancelled');
      await expect(search.search(harness.query, 3, AbortSignal.abort(reason))).rejects.toBe(reason);
      const controller = new AbortController();
      const searching = search.search(harness.query, 3, controller.signal);
      controller.abort(reason);
      await expect(searching).rejects.toBe(reason);
      expect(await search.search(harness.query, 3, signal)).toHaveLength(3);
    });

    it('answers a ping, and closes twice', async () => {
      await expect(search.ping()).resolves.toBeUndefined();
      await search.close();
      await expect(search.close()).resolves.toBeUndefined();
    });
  });
}
