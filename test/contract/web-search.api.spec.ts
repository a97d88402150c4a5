import { type ServerResponse } from 'node:http';
import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, test } from '@jest/globals';
import { ApiWebSearch } from '../../src/ports/web-search/api-web-search.js';
import { brave } from '../../src/ports/web-search/brave.js';
import { type SearchAccess, type SearchApi } from '../../src/ports/web-search/search-api.js';
import { searxng } from '../../src/ports/web-search/searxng.js';
import { tavily } from '../../src/ports/web-search/tavily.js';
import {
  BRAVE,
  type Protocol,
  SEARXNG,
  type SearchServer,
  sendJson,
  startSearchServer,
  TAVILY,
  VENDOR_WORDS,
} from '../support/servers/search-server.js';
import { webSearchContract } from './web-search.contract.js';

const DOCUMENTS = Array.from({ length: 30 }, (_, number) => ({
  url: `https://site${number}.example.org/page?id=${number}`,
  title: `Page ${number} <of> Euglena`,
  text: `Euglena's flagellum & eyespot, seen ${number} times.`,
}));

const PROVIDERS: readonly [string, (access: SearchAccess) => SearchApi, Protocol][] = [
  ['Tavily', tavily, TAVILY],
  ['Brave Search', brave, BRAVE],
  ['SearXNG', searxng, SEARXNG],
];

async function open(make: (access: SearchAccess) => SearchApi, protocol: Protocol, options = {}) {
  const server = await startSearchServer(protocol);
  server.documents = DOCUMENTS;
  const searchWith = (key: string | null) =>
    new ApiWebSearch(make({ url: `${server.url}/base/`, key }), options);
  const search = searchWith('search-key');
  const close = async () => {
    await search.close();
    await server.close();
  };
  return { search, searchWith, server, query: 'euglena', close };
}

beforeEach(() => Logger.overrideLogger(false));
for (const [name, make, protocol] of PROVIDERS) webSearchContract(name, () => open(make, protocol));

describe.each(PROVIDERS)('a search with %s', (_name, make, protocol) => {
  let opened: Awaited<ReturnType<typeof open>>;
  let server: SearchServer;
  const { signal } = new AbortController();
  beforeEach(async () => {
    opened = await open(make, protocol, { timeoutMs: 5_000, maxAnswerBytes: 100_000 });
    server = opened.server;
  });
  afterEach(() => opened.close());
  const find = (query = 'euglena', limit = 5) => opened.search.search(query, limit, signal);
  const failure = (search = opened.search): Promise<unknown> =>
    search.search('euglena', 5, signal).catch((error: unknown) => error);

  it('gives titles and snippets as text, not as markup', async () => {
    const [first] = await find();
    expect(first).toEqual({
      url: DOCUMENTS[0]?.url,
      title: 'Page 0 <of> Euglena',
      snippet: "Euglena's flagellum & eyespot, seen 0 times.",
    });
  });

  it('finds nothing where there is nothing, and asks nothing when there is no question', async () => {
    server.documents = [];
    expect(await find()).toEqual([]);
    expect(server.asked).toHaveLength(1);
    expect(await find(' \n\0')).toEqual([]);
    expect(await find('euglena', 0)).toEqual([]);
    expect(server.asked).toHaveLength(1);
  });

  it('shows an address once, and only addresses of the web', async () => {
    const of = (url: string) => ({ url, title: 'A page', text: 'words' });
    server.documents = [
      ...['https://Example.org:443/a?x=1&utm_source=s#part', 'http://www.example.org/a/?x=1', 'nonsense'].map(
        of,
      ),
      ...['javascript:alert(1)', 'file:///etc/passwd', 'https://example.org/a?x=2', 'http://10.0.0.1/'].map(
        of,
      ),
    ];
    expect((await find()).map(({ url }) => url)).toEqual([
      'https://example.org/a?x=1&utm_source=s',
      'https://example.org/a?x=2',
      // The page reader refuses it; here it is data.
      'http://10.0.0.1/',
    ]);
  });

  it('bounds what a result may say', async () => {
    server.documents = [
      { url: 'https://example.org/a', title: 't\n'.repeat(9_000), text: 's '.repeat(9_000) },
    ];
    const [hit] = await find();
    expect(hit?.title.length).toBeLessThanOrEqual(300);
    expect(hit?.snippet.length).toBeLessThanOrEqual(600);
    expect(`${hit?.title}${hit?.snippet}`).not.toMatch(/\n/);
  });

  it('cuts a query between words to what the provider takes', async () => {
    const hits = await find(Array.from({ length: 500 }, (_, i) => `word${i}`).join('\n'));
    expect(hits).toHaveLength(5);
    const { url, body } = server.asked[0] ?? {};
    const sent = url?.searchParams.get('q') ?? (JSON.parse(body || '{}') as { query: string }).query;
    expect(sent.length).toBeLessThanOrEqual(400);
    expect(sent).toMatch(/^word0 word1 .* word\d\d$/);
  });

  it('says that the key is refused', async () => {
    const stranger = opened.searchWith('wrong');
    expect(await failure(stranger)).toMatchObject({
      name: 'SearchFailure',
      message: 'The search refused its key; only the operator can change that.',
    });
    await stranger.close();
  });

  test.each([
    [400, 'The search refused the query.'],
    [402, 'The search takes no more queries for now: its quota is used up.'],
    [429, 'The search takes no more queries for now: its quota is used up.'],
    [432, 'The search takes no more queries for now: its quota is used up.'],
    [433, 'The search takes no more queries for now: its quota is used up.'],
    [500, 'The search is down.'],
    [503, 'The search is down.'],
    [204, 'The search gave an answer that cannot be read.'],
  ])('asks once when the status is %d, and says what that means in our words', async (status, message) => {
    server.answer((response) => sendJson(response, { status, body: protocol.error(status) }));
    const error = await failure();
    expect(error).toMatchObject({ name: 'SearchFailure', message });
    expect(String((error as Error).stack)).not.toContain(VENDOR_WORDS);
    expect(server.asked).toHaveLength(1);
  });

  it('follows no redirect, which could carry the key away', async () => {
    server.answer((response) => void response.writeHead(307, { location: `${server.url}/elsewhere` }).end());
    expect(await failure()).toMatchObject({ message: 'The search gave an answer that cannot be read.' });
    expect(server.asked).toHaveLength(1);
  });

  const json = { 'content-type': 'application/json' };
  test.each<[string, (response: ServerResponse) => void]>([
    ['a page', (response) => void response.end('<html>Just a moment...</html>')],
    ['nothing', (response) => void response.end()],
    ['null', (response) => void response.end('null')],
    ['no list', (response) => void response.end('{"type":"search","results":{"a":1},"web":{"results":5}}')],
    ['numbers', (response) => void response.end('{"type":"search","results":[1],"web":{"results":[1]}}')],
    ['half an answer', (response) => void response.writeHead(200, json).end('{"results":[{"url":"ht')],
    ['a huge answer', (response) => void response.end(`{"results":[],"x":"${'x'.repeat(200_000)}"}`)],
  ])('says that it cannot read %s', async (_what, answer) => {
    server.answer(answer);
    expect(await failure()).toMatchObject({
      name: 'SearchFailure',
      message: 'The search gave an answer that cannot be read.',
    });
  });

  it('stops reading an endless answer, and hangs up', async () => {
    server.answer((response) => {
      const pour = () => {
        while (!response.destroyed && response.write(' '.repeat(65_536)));
      };
      response.on('drain', pour);
      pour();
    });
    expect(await failure()).toMatchObject({ message: 'The search gave an answer that cannot be read.' });
    await server.lastClosed();
  });

  it('gives up on a search that does not answer in time, and hangs up', async () => {
    server.answer(() => undefined);
    const hasty = new ApiWebSearch(make({ url: `${server.url}/base`, key: 'search-key' }), {
      timeoutMs: 100,
    });
    expect(await failure(hasty)).toMatchObject({
      name: 'SearchFailure',
      message: 'The search gave no answer in time.',
    });
    await server.lastClosed();
    await hasty.close();
  });

  it('says that nobody is there', async () => {
    server.answer((response) => void response.socket?.destroy());
    const gone = { name: 'SearchFailure', message: 'The search could not be reached.' };
    expect(await failure()).toMatchObject(gone);
    await server.close();
    expect(await failure()).toMatchObject(gone);
    opened = await open(make, protocol);
  });
});

// Only a search that asks other searches can have found nothing because none of them answered.
describe('SearXNG', () => {
  it('does not call it nothing when its engines gave no answer', async () => {
    const { search, server, close } = await open(searxng, SEARXNG);
    const body = { query: 'euglena', results: [], unresponsive_engines: [['google', VENDOR_WORDS]] };
    server.answer((response) => sendJson(response, { status: 200, body }));
    await expect(search.search('euglena', 5, AbortSignal.timeout(5_000))).rejects.toMatchObject({
      name: 'SearchFailure',
      message: 'The search is down.',
    });
    await close();
  });

  it('tells an instance without JSON from one that refuses a key', async () => {
    const { searchWith, server, close } = await open(searxng, SEARXNG);
    server.answer((response) => sendJson(response, { status: 403, body: SEARXNG.error(403) }));
    const keyless = searchWith(null);
    await expect(keyless.search('euglena', 5, AbortSignal.timeout(5_000))).rejects.toMatchObject({
      message: 'The search is set up not to answer programs (no JSON format).',
    });
    expect(server.asked[0]?.headers.authorization).toBeUndefined();
    await keyless.close();
    await close();
  });
});
