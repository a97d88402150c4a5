import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { type Settings } from '../../config/settings.js';
import { SETTINGS } from '../../config/settings.module.js';
import { Corpus } from './corpus.js';
import { CorpusModule } from './corpus.module.js';
import { CorpusWebSearch } from './corpus-web-search.js';
import { WEB_SEARCH, type WebSearch } from './web-search.port.js';

/** The adapter of `SEARCH_PROVIDER`. The corpus is the only one so far; the start-up log says which one serves. */
function chooseWebSearch(settings: Settings, corpus: Corpus): WebSearch {
  switch (settings.search.provider) {
    case 'corpus':
    case 'tavily':
    case 'brave':
    case 'searxng':
      return new CorpusWebSearch(corpus);
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
