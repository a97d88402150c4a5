import { Module } from '@nestjs/common';
import { type Settings } from '../../config/settings.js';
import { SETTINGS } from '../../config/settings.module.js';
import { Corpus } from './corpus.js';

/** One corpus for the search and for the page reader. */
@Module({
  providers: [
    {
      provide: Corpus,
      useFactory: (settings: Settings) => new Corpus(settings.search.corpusDir),
      inject: [SETTINGS],
    },
  ],
  exports: [Corpus],
})
export class CorpusModule {}
