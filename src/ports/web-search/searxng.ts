import { z } from 'zod';
import { endpoint, type SearchAccess, type SearchApi } from './search-api.js';
import { readAs } from './search-answer.js';
import { SearchFailure } from './web-search.port.js';

const answer = z.object({
  results: z.array(z.object({ url: z.string(), title: z.string().nullish(), content: z.string().nullish() })),
  unresponsive_engines: z.array(z.unknown()).default([]),
});

/**
 * SearXNG: `GET /search` with `format=json`, which the instance's `search.formats` must name. It knows no keys; one that
 * is given is sent as a bearer token, for a proxy in front of it. It gives a page of results, however many that are.
 */
export function searxng({ url, key }: SearchAccess): SearchApi {
  return {
    name: 'SearXNG',
    queryLimit: { chars: 400 },
    request: (query) => {
      const address = endpoint(url, '/search');
      address.search = new URLSearchParams({ q: query, format: 'json' }).toString();
      const headers = {
        accept: 'application/json',
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      };
      return { method: 'GET', url: address, headers };
    },
    read: (found) => {
      const { results, unresponsive_engines: silent } = readAs(answer, found);
      // What it asks behind it may be out of quota or down; that is no proof that there is nothing.
      if (results.length === 0 && silent.length > 0) throw new SearchFailure('The search is down.');
      return results.map(({ url: address, title, content }) => ({
        url: address,
        title: title ?? '',
        snippet: content ?? '',
      }));
    },
    explain: (status) =>
      status === 403 && key === null
        ? 'The search is set up not to answer programs (no JSON format).'
        : undefined,
  };
}
