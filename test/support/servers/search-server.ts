import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface WebDocument {
  readonly url: string;
  readonly title: string;
  readonly text: string;
}

/** One request as the server saw it. */
export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** How a provider documents its protocol: what it checks, and what it answers. */
export interface Protocol {
  /** The documented refusal of a request; null when the request is good. */
  refuse(asked: Asked): Reply | null;
  /** The documented answer with documents. */
  found(documents: readonly WebDocument[], asked: Asked): unknown;
  /** The documented body of an error. */
  error(status: number): unknown;
}

/** A server on this host that speaks a search provider's protocol. */
export interface SearchServer {
  readonly url: string;
  readonly asked: Asked[];
  /** The documents of the web, in the order in which any query finds them. */
  documents: readonly WebDocument[];
  /** Answers the requests from now on, instead of the protocol. */
  answer(handler: (response: ServerResponse) => void): void;
  /** Resolves when the response of the last request was closed, by whichever side. */
  lastClosed(): Promise<void>;
  close(): Promise<void>;
}

/** The words of a vendor that must never reach a model. */
export const VENDOR_WORDS = 'Upgrade at vendor.example';

export async function startSearchServer(protocol: Protocol): Promise<SearchServer> {
  let handler: ((response: ServerResponse) => void) | null = null;
  let closed = Promise.resolve();
  const server = createServer((request, response) => {
    closed = once(response, 'close').then(() => undefined);
    void serve(request, response);
  });
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const asked: Asked = {
      method: request.method ?? '',
      url: new URL(request.url ?? '', 'http://search.example'),
      headers: request.headers,
      body: await text(request),
    };
    search.asked.push(asked);
    if (handler !== null) return handler(response);
    const refused = protocol.refuse(asked);
    const reply = refused ?? { status: 200, body: protocol.found(search.documents, asked) };
    return sendJson(response, reply);
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const search: SearchServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    documents: [],
    answer: (next) => (handler = next),
    lastClosed: () => closed,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return search;
}

export function sendJson(response: ServerResponse, { status, body }: Reply): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const KEY = 'search-key';

/** https://docs.tavily.com/documentation/api-reference/endpoint/search */
export const TAVILY: Protocol = {
  refuse: ({ method, url, headers, body }) => {
    if (url.pathname !== '/base/search') return { status: 404, body: TAVILY.error(404) };
    if (method !== 'POST') return { status: 405, body: TAVILY.error(405) };
    if (headers.authorization !== `Bearer ${KEY}`) return { status: 401, body: TAVILY.error(401) };
    const { query, max_results: max } = JSON.parse(body) as { query?: string; max_results?: number };
    const good = query !== undefined && query.trim() !== '' && query.length <= 400;
    return good && max !== undefined && max >= 0 && max <= 20
      ? null
      : { status: 400, body: TAVILY.error(400) };
  },
  found: (documents, { body }) => {
    const { query, max_results: max } = JSON.parse(body) as { query: string; max_results: number };
    return {
      query,
      answer: null,
      images: [],
      follow_up_questions: null,
      results: documents
        .slice(0, max)
        .map(({ url, title, text: content }) => ({ url, title, content, score: 0.8, raw_content: null })),
      response_time: 0.7,
      request_id: '123e4567-e89b-12d3-a456-426614174111',
    };
  },
  error: () => ({ detail: { error: VENDOR_WORDS } }),
};

/** https://api-dashboard.search.brave.com/app/documentation/web-search */
export const BRAVE: Protocol = {
  refuse: ({ method, url, headers }) => {
    if (url.pathname !== '/base/res/v1/web/search') return { status: 404, body: BRAVE.error(404) };
    if (method !== 'GET') return { status: 405, body: BRAVE.error(405) };
    const query = url.searchParams.get('q') ?? '';
    const count = Number(url.searchParams.get('count') ?? '20');
    const good = query !== '' && query.length <= 400 && query.split(/\s+/).length <= 50;
    if (headers['x-subscription-token'] === KEY && good && count >= 1 && count <= 20) return null;
    return { status: 422, body: BRAVE.error(422) };
  },
  found: (documents, { url }) => {
    const count = Number(url.searchParams.get('count'));
    const query = { original: url.searchParams.get('q'), more_results_available: false };
    if (documents.length === 0) return { type: 'search', query };
    const escape = (words: string) =>
      words
        .replaceAll('&', '&amp;')
        .replaceAll('<', '&lt;')
        .replaceAll('>', '&gt;')
        .replaceAll("'", '&#x27;');
    const results = documents.slice(0, count).map(({ url: address, title, text: words }) => ({
      type: 'search_result',
      url: address,
      title: escape(title),
      description: escape(words).replace(/^\w+/, '<strong>$&</strong>'),
      is_source_local: false,
      family_friendly: true,
    }));
    return { type: 'search', query, web: { type: 'search', results, family_friendly: true } };
  },
  error: (status) => ({
    type: 'ErrorResponse',
    error: { id: 'b8a6', status, code: 'SUBSCRIPTION_TOKEN_INVALID', detail: VENDOR_WORDS },
    time: 1_700_000_000,
  }),
};

/** https://docs.searxng.org/dev/search_api.html */
export const SEARXNG: Protocol = {
  refuse: ({ url, headers }) => {
    if (url.pathname !== '/base/search') return { status: 404, body: SEARXNG.error(404) };
    // The key is for a proxy before the instance.
    if (headers.authorization !== `Bearer ${KEY}`) return { status: 401, body: SEARXNG.error(401) };
    const good = url.searchParams.get('format') === 'json' && url.searchParams.get('q') !== '';
    return good ? null : { status: 400, body: SEARXNG.error(400) };
  },
  found: (documents, { url }) => ({
    query: url.searchParams.get('q'),
    number_of_results: 0,
    results: documents.map(({ url: address, title, text: content }) => ({
      url: address,
      title,
      content,
      engine: 'duckduckgo',
      parsed_url: ['https', 'example.com', '/', '', '', ''],
      engines: ['duckduckgo'],
      positions: [1],
      score: 1.0,
      category: 'general',
    })),
    answers: [],
    corrections: [],
    infoboxes: [],
    suggestions: [],
    unresponsive_engines: documents.length === 0 ? [] : [['google', 'Suspended: CAPTCHA']],
  }),
  error: () => ({ error: VENDOR_WORDS }),
};
