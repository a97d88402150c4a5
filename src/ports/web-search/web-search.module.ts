import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { type Settings } from '../../config/settings.js';
import { SETTINGS } from '../../config/settings.module.js';
import { ApiWebSearch } from './api-web-search.js';
import { brave, BRAVE_URL } from './brave.js';
import { Corpus } from './corpus.js';
import { CorpusModule } from './corpus.module.js';
import { CorpusWebSearch } from './corpus-web-search.js';
import { searxng } from './searxng.js';
import { tavily, TAVILY_URL } from './tavily.js';
import { WEB_SEARCH, type WebSearch } from './web-search.port.js';

/**
 * The adapter of `SEARCH_PROVIDER`. Its address is the operator's choice and may be private (SearXNG on this host), so
 * the address guard of pages does not stand before it.
 */
function chooseWebSearch({ search }: Settings, corpus: Corpus): WebSearch {
  const { provider, apiUrl, apiKey: key } = search;
  switch (provider) {
    case 'corpus':
      return new CorpusWebSearch(corpus);
    case 'tavily':
      return new ApiWebSearch(tavily({ url: apiUrl ?? TAVILY_URL, key }));
    case 'brave':
      return new ApiWebSearch(brave({ url: apiUrl ?? BRAVE_URL, key }));
    case 'searxng':
      return new ApiWebSearch(searxng({ url: apiUrl ?? '', key }));
  }
}

@Module({
  imports: [CorpusModule],
  providers: [{ provide: WEB_SEARCH, useFactory: chooseWebSearch, inject: [SETTINGS, Corpus] }],
  exports: [WEB_SEARCH],
})
export class WebSearchModule implements OnApplicationShutdown {
  constructor(@Inject(WEB_SEARCH) private readonly search: WebSearch) {}

  onApplicationShutdown(): Promise<void> {
    return this.search.close();
  }
}
