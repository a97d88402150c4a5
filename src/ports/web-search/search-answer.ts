import { type z } from 'zod';
import { parseUrl } from '../../domain/parse-url.js';
import { type SearchHit } from '../../domain/situation.js';
import { type FoundDocument } from './search-api.js';
import { SearchFailure } from './web-search.port.js';

const TITLE_CHARS = 300;
const SNIPPET_CHARS = 600;
const URL_CHARS = 2_000;
/** Parameters that say who sent the visitor, not which document is meant. */
const TRACKING = /^(?:utm_\w+|gclid|dclid|fbclid|msclkid|yclid|mc_cid|mc_eid|igshid|_ga)$/i;

/** @throws SearchFailure when the answer is not what the provider's documentation promises */
export function readAs<T>(shape: z.ZodType<T>, answer: unknown): T {
  const read = shape.safeParse(answer);
  if (!read.success) throw new SearchFailure('The search gave an answer that cannot be read.');
  return read.data;
}

/** Documents of the web as hits: each address once, texts in one line and bounded. What has no web address is left out. */
export function hitsOf(found: readonly FoundDocument[], limit: number): SearchHit[] {
  const hits = new Map<string, SearchHit>();
  for (const { url, title, snippet } of found) {
    if (hits.size >= limit) break;
    const address = url.length > URL_CHARS ? null : parseUrl(url);
    if (address?.protocol !== 'http:' && address?.protocol !== 'https:') continue;
    address.hash = '';
    const key = sameAddress(address);
    if (hits.has(key)) continue;
    const line = oneLine(title, TITLE_CHARS) || `${address.host}${address.pathname}`.slice(0, TITLE_CHARS);
    hits.set(key, { url: address.href, title: line, snippet: oneLine(snippet, SNIPPET_CHARS) });
  }
  return [...hits.values()];
}

/** Equal for addresses that are all but surely the same document. For comparing only: it is not always an address. */
function sameAddress(url: URL): string {
  const query = [...url.searchParams].filter(([name]) => !TRACKING.test(name));
  const path = url.pathname.replace(/\/+$/, '');
  return JSON.stringify([url.host.replace(/^www\./, ''), path, query]);
}

function oneLine(text: string, chars: number): string {
  const line = text
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, chars);
  // Half of a surrogate pair has no UTF-8.
  return Buffer.from(line.replace(/[\uD800-\uDBFF]$/, '')).toString();
}
