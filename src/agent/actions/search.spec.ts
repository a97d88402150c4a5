import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { rmSync } from 'node:fs';
import { Logger } from '@nestjs/common';
import { type AgentFolder, agentFolder } from '../../../test/support/agent-host.js';
import { sendJson, startSearchServer, TAVILY } from '../../../test/support/servers/search-server.js';
import { ApiWebSearch } from '../../ports/web-search/api-web-search.js';
import { Corpus } from '../../ports/web-search/corpus.js';
import { CorpusWebSearch } from '../../ports/web-search/corpus-web-search.js';
import { tavily } from '../../ports/web-search/tavily.js';
import { search } from './search.js';

describe('search', () => {
  beforeEach(() => Logger.overrideLogger(false));
  let folder: AgentFolder;
  let webSearch: CorpusWebSearch;
  const { signal } = new AbortController();
  beforeEach(() => {
    folder = agentFolder();
    webSearch = new CorpusWebSearch(new Corpus(folder.documents));
  });
  afterEach(() => folder.remove());

  it('brings a numbered list with addresses, and the hits themselves', async () => {
    const observation = await search(webSearch, 'flagellum eyespot', signal);
    expect(observation.failed).toBe(false);
    expect(observation.text).toMatch(/^1\. Euglena\n {3}corpus:euglena\.md\n {3}\S/);
    expect(observation.hits).toMatchObject([{ url: 'corpus:euglena.md', title: 'Euglena' }]);
  });

  it('says that nothing was found', async () => {
    const observation = await search(webSearch, 'zzyzx', signal);
    expect(observation).toEqual({ text: 'Nothing was found for: zzyzx', failed: true, hits: [] });
  });

  it('turns a search that does not work into an observation without its innards', async () => {
    rmSync(folder.documents, { recursive: true });
    const observation = await search(webSearch, 'flagellum', signal);
    expect(observation).toEqual({ text: 'The search is not available.', failed: true });
  });

  it("says in the search's own words that its quota is used up", async () => {
    const server = await startSearchServer(TAVILY);
    server.answer((response) => sendJson(response, { status: 432, body: TAVILY.error(432) }));
    const used = new ApiWebSearch(tavily({ url: server.url, key: 'search-key' }));
    const observation = await search(used, 'flagellum', signal);
    expect(observation).toEqual({
      text: 'The search takes no more queries for now: its quota is used up.',
      failed: true,
    });
    await used.close();
    await server.close();
  });

  it('rejects with the reason of the abort', async () => {
    const aborted = AbortSignal.abort(new Error('enough'));
    await expect(search(webSearch, 'flagellum', aborted)).rejects.toThrow('enough');
  });
});
