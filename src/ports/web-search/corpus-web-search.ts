import { setImmediate } from 'node:timers/promises';
import { type SearchHit } from '../../domain/situation.js';
import { Bm25Index, queryWords } from '../../domain/bm25-index.js';
import { type Corpus, type CorpusDocument } from './corpus.js';
import { snippetOf } from './snippet.js';
import { type WebSearch } from './web-search.port.js';

/** Searches the corpus instead of the web. The index is built in memory on the first search. */
export class CorpusWebSearch implements WebSearch {
  private indexing: Promise<Bm25Index<CorpusDocument>> | null = null;

  constructor(private readonly corpus: Corpus) {}

  async search(query: string, limit: number, signal: AbortSignal): Promise<readonly SearchHit[]> {
    const documents = await this.corpus.documents(signal);
    this.indexing ??= buildIndex(documents);
    const index = await this.indexing;
    signal.throwIfAborted();
    const words = queryWords(query);
    return index.search(query, limit).map(({ document }) => ({
      url: document.url,
      title: document.title,
      snippet: snippetOf(document.text, words, (word) => index.idf(word)),
    }));
  }

  ping(): Promise<void> {
    return this.corpus.ping();
  }

  async close(): Promise<void> {}
}

async function buildIndex(documents: readonly CorpusDocument[]): Promise<Bm25Index<CorpusDocument>> {
  const index = new Bm25Index<CorpusDocument>();
  for (const document of documents) {
    index.add(document);
    // A large corpus takes seconds: heartbeats must go on meanwhile.
    await setImmediate();
  }
  return index;
}
