import { z } from 'zod';
import { endpoint, type SearchAccess, type SearchApi } from './search-api.js';
import { readAs } from './search-answer.js';

export const TAVILY_URL = 'https://api.tavily.com';
const MAX_RESULTS = 20;
const answer = z.object({
  results: z.array(z.object({ url: z.string(), title: z.string().nullish(), content: z.string().nullish() })),
});

/** Tavily: `POST /search` with the key as a bearer token. One query costs one credit ("basic" depth). */
export function tavily({ url, key }: SearchAccess): SearchApi {
  return {
    name: 'Tavily',
    queryLimit: { chars: 400 },
    request: (query, limit) => ({
      method: 'POST',
      url: endpoint(url, '/search'),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key ?? ''}` },
      body: JSON.stringify({ query, max_results: Math.min(limit, MAX_RESULTS), search_depth: 'basic' }),
    }),
    read: (found) =>
      readAs(answer, found).results.map(({ url: address, title, content }) => ({
        url: address,
        title: title ?? '',
        snippet: content ?? '',
      })),
  };
}
