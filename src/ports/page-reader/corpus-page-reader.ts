import { type Corpus } from '../web-search/corpus.js';
import { makePage } from './page.js';
import { PageFailure, type Page, type PageReader } from './page-reader.port.js';

/** Reads `corpus:` addresses. They are looked up among the loaded documents; no path ever reaches the disk. */
export class CorpusPageReader implements PageReader {
  constructor(private readonly corpus: Corpus) {}

  async read(url: string, signal: AbortSignal): Promise<Page> {
    const document = await this.corpus.find(url, signal);
    if (document === null) throw new PageFailure('failed', 'There is no such document in the corpus.');
    return makePage(document);
  }

  ping(): Promise<void> {
    return this.corpus.ping();
  }

  async close(): Promise<void> {}
}
