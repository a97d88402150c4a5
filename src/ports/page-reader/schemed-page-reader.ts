import { type Page, type PageReader } from './page-reader.port.js';

/** `corpus:` addresses go to the corpus, everything else to the web. */
export class SchemedPageReader implements PageReader {
  constructor(
    private readonly corpus: PageReader,
    private readonly web: PageReader,
  ) {}

  read(url: string, signal: AbortSignal): Promise<Page> {
    return (/^\s*corpus:/i.test(url) ? this.corpus : this.web).read(url, signal);
  }

  async ping(): Promise<void> {
    await Promise.all([this.corpus.ping(), this.web.ping()]);
  }

  async close(): Promise<void> {
    await Promise.all([this.corpus.close(), this.web.close()]);
  }
}
