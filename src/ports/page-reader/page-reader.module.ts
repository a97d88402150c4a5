import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import { CorpusModule } from '../web-search/corpus.module.js';
import { Corpus } from '../web-search/corpus.js';
import { packageVersion } from '../web-search/package-root.js';
import { CorpusPageReader } from './corpus-page-reader.js';
import { HttpPageReader } from './http-page-reader.js';
import { PAGE_READER, type PageReader } from './page-reader.port.js';
import { SchemedPageReader } from './schemed-page-reader.js';

@Module({
  imports: [CorpusModule],
  providers: [
    {
      provide: PAGE_READER,
      useFactory: (corpus: Corpus, { pages }: Settings, clock: Clock): PageReader =>
        new SchemedPageReader(
          new CorpusPageReader(corpus),
          new HttpPageReader({
            userAgent: pages.userAgent ?? `Euglena/${packageVersion()} (autonomous agent)`,
            respectRobots: pages.respectRobots,
            now: () => clock.now(),
          }),
        ),
      inject: [Corpus, SETTINGS, CLOCK],
    },
  ],
  exports: [PAGE_READER],
})
export class PageReaderModule implements OnApplicationShutdown {
  constructor(@Inject(PAGE_READER) private readonly reader: PageReader) {}

  onApplicationShutdown(): Promise<void> {
    return this.reader.close();
  }
}
