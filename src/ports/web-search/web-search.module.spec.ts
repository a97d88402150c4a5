import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { chooseAdapter } from '../../config/adapter-choice.js';
import { type Environment, readSettings } from '../../config/settings.js';
import { SettingsModule } from '../../config/settings.module.js';
import { systemClock } from '../../config/system-clock.js';
import { ApiWebSearch } from './api-web-search.js';
import { CorpusWebSearch } from './corpus-web-search.js';
import { WebSearchModule } from './web-search.module.js';
import { WEB_SEARCH } from './web-search.port.js';

describe('the choice of a web search', () => {
  const URL = 'http://127.0.0.1:8888';
  it.each<[Environment, unknown, string]>([
    [{}, CorpusWebSearch, "corpus of documents (this project's docs)"],
    [{ SEARCH_PROVIDER: 'tavily', SEARCH_API_KEY: 'k' }, ApiWebSearch, 'tavily'],
    [{ SEARCH_PROVIDER: 'brave', SEARCH_API_KEY: 'k' }, ApiWebSearch, 'brave'],
    [{ SEARCH_PROVIDER: 'searxng', SEARCH_API_URL: URL }, ApiWebSearch, 'searxng at 127.0.0.1:8888'],
  ])('with %j', async (env, adapter, name) => {
    const settings = readSettings(env);
    expect(chooseAdapter('web-search', settings)).toEqual({
      adapter: name,
      embedded: adapter === CorpusWebSearch,
    });
    const app = await Test.createTestingModule({
      imports: [SettingsModule.with(settings, systemClock), WebSearchModule],
    }).compile();
    expect(app.get(WEB_SEARCH)).toBeInstanceOf(adapter);
    await app.close();
  });

  it.each<[Environment, string]>([
    [{ SEARCH_PROVIDER: 'brave' }, 'SEARCH_API_KEY: needed by SEARCH_PROVIDER=brave'],
    [{ SEARCH_PROVIDER: 'searxng' }, 'SEARCH_API_URL: needed by SEARCH_PROVIDER=searxng'],
    [{ SEARCH_API_KEY: 'k' }, 'SEARCH_PROVIDER: tavily, brave or searxng'],
    [
      { SEARCH_PROVIDER: 'searxng', SEARCH_API_URL: 'http://u:p@host' },
      'SEARCH_API_URL: must hold no user name',
    ],
  ])('refuses %j, which would have no effect', (env, problem) => {
    expect(() => readSettings(env)).toThrow(problem);
  });
});
