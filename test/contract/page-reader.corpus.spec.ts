import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from '@jest/globals';
import { CorpusPageReader } from '../../src/ports/page-reader/corpus-page-reader.js';
import { HttpPageReader } from '../../src/ports/page-reader/http-page-reader.js';
import { SchemedPageReader } from '../../src/ports/page-reader/schemed-page-reader.js';
import { Corpus } from '../../src/ports/web-search/corpus.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { pageReaderContract, type PageReaderHarness } from './page-reader.contract.js';

function corpusHarness(wrap: (reader: CorpusPageReader) => PageReaderHarness['reader']): PageReaderHarness {
  const folder = temporaryDataDir();
  mkdirSync(join(folder.path, 'a folder'));
  writeFileSync(join(folder.path, 'a folder', 'öl & gas.md'), '# Öl\n\nIt is in the ground.');
  writeFileSync(join(folder.path, 'long.txt'), '🦠'.repeat(120_000));
  return {
    reader: wrap(new CorpusPageReader(new Corpus(folder.path))),
    known: { url: 'corpus:a%20folder/%C3%B6l%20%26%20gas.md', title: 'Öl', words: 'in the ground' },
    long: 'corpus:long.txt',
    missing: 'corpus:none.md',
    close: async () => folder.remove(),
  };
}

pageReaderContract('corpus', async () => corpusHarness((reader) => reader));
pageReaderContract('corpus beside the web', async () =>
  corpusHarness((reader) => new SchemedPageReader(reader, new HttpPageReader({ userAgent: 'test' }))),
);

// Only this reader has addresses that a model may misspell without anybody having published them.
describe('addresses of the corpus', () => {
  test.each([
    'corpus:a folder/öl & gas.md',
    'corpus:/a%20folder/öl & gas.md',
    'CORPUS://a%20folder/%C3%B6l%20%26%20gas.md',
    ' corpus:a%20folder/%c3%b6l%20%26%20gas.md#part ',
  ])('%j is the same document', async (url) => {
    const harness = corpusHarness((corpus) => corpus);
    const { url: known } = harness.known;
    expect(await harness.reader.read(url, AbortSignal.timeout(5_000))).toMatchObject({ url: known });
    await harness.close();
  });

  it('goes to the web for every other address, and the guard is there', async () => {
    const harness = corpusHarness(
      (corpus) => new SchemedPageReader(corpus, new HttpPageReader({ userAgent: 'test' })),
    );
    await expect(harness.reader.read('http://127.0.0.1/', AbortSignal.timeout(5_000))).rejects.toMatchObject({
      kind: 'refused',
    });
    await harness.reader.close();
    await harness.close();
  });
});
