/** One provider of a web search, as its documentation describes it: what to send, and how to read what comes back. */
export interface SearchApi {
  /** Name for the operator's log. */
  readonly name: string;
  /** Longest query that it takes. */
  readonly queryLimit: { readonly chars: number; readonly words?: number };
  request(query: string, limit: number): SearchRequest;
  /**
   * The found documents in the provider's order, as they came.
   * @throws SearchFailure when the answer is no list of documents
   */
  read(answer: unknown): readonly FoundDocument[];
  /** What a status means, where it means something else than {@link meaningOf} says. */
  explain?(status: number): string | undefined;
}

export interface SearchRequest {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface FoundDocument {
  readonly url: string;
  readonly title: string;
  readonly snippet: string;
}

/** Where a provider is, and with which key. */
export interface SearchAccess {
  /** Base address, without the provider's own path. */
  readonly url: string;
  readonly key: string | null;
}

export const REFUSED_KEY = 'The search refused its key; only the operator can change that.';

/** What an HTTP status says about the search, in words for the model. */
export function meaningOf(status: number): string {
  if (status === 401 || status === 403) return REFUSED_KEY;
  // 432 and 433 are Tavily's: the plan's limit, the pay-as-you-go limit.
  if ([402, 429, 432, 433].includes(status))
    return 'The search takes no more queries for now: its quota is used up.';
  if (status >= 500) return 'The search is down.';
  return status >= 400 ? 'The search refused the query.' : 'The search gave an answer that cannot be read.';
}

/** The provider's own address for `path`, below the path that the base address may have. */
export function endpoint(base: string, path: string): URL {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}${path}`;
  return url;
}
