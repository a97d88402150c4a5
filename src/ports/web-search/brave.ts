import { z } from 'zod';
import { endpoint, REFUSED_KEY, type SearchAccess, type SearchApi } from './search-api.js';
import { readAs } from './search-answer.js';

export const BRAVE_URL = 'https://api.search.brave.com';
const MAX_COUNT = 20;
/** An answer without `web` found nothing there. */
const answer = z.object({
  type: z.literal('search'),
  web: z
    .object({
      results: z.array(
        z.object({ url: z.string(), title: z.string().nullish(), description: z.string().nullish() }),
      ),
    })
    .nullish(),
});
const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#x27': "'", '#39': "'" };

/** Brave Search: `GET /res/v1/web/search` with the key in `X-Subscription-Token`. */
export function brave({ url, key }: SearchAccess): SearchApi {
  return {
    name: 'Brave Search',
    queryLimit: { chars: 400, words: 50 },
    request: (query, limit) => {
      const address = endpoint(url, '/res/v1/web/search');
      address.search = new URLSearchParams({
        q: query,
        count: String(Math.min(limit, MAX_COUNT)),
        result_filter: 'web',
        text_decorations: 'false',
      }).toString();
      const headers = { accept: 'application/json', 'x-subscription-token': key ?? '' };
      return { method: 'GET', url: address, headers };
    },
    read: (found) =>
      (readAs(answer, found).web?.results ?? []).map(({ url: address, title, description }) => ({
        url: address,
        title: plain(title ?? ''),
        snippet: plain(description ?? ''),
      })),
    // A key that it does not know is a parameter that it cannot process.
    explain: (status) => (status === 422 ? REFUSED_KEY : undefined),
  };
}

/** Its texts are HTML: escaped, and with the searched words marked. */
function plain(html: string): string {
  return html
    .replace(/<\/?strong>/g, '')
    .replace(/&(amp|lt|gt|quot|#x27|#39);/g, (whole, name: string) => ENTITIES[name] ?? whole);
}
