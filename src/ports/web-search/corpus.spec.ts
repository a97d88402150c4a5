import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { Logger } from '@nestjs/common';
import { temporaryDataDir } from '../../../test/support/data-dir.js';
import { readSettings } from '../../config/settings.js';
import { SettingsModule } from '../../config/settings.module.js';
import { systemClock } from '../../config/system-clock.js';
import { EuglenaError } from '../../domain/errors.js';
import { PageReaderModule } from '../page-reader/page-reader.module.js';
import { PAGE_READER, type PageReader } from '../page-reader/page-reader.port.js';
import { Corpus } from './corpus.js';
import { WebSearchModule } from './web-search.module.js';
import { WEB_SEARCH, type WebSearch } from './web-search.port.js';

describe('Corpus', () => {
  let folder: ReturnType<typeof temporaryDataDir>;
  const write = (path: string, content: string | Buffer = 'words') => {
    mkdirSync(join(folder.path, path, '..'), { recursive: true });
    writeFileSync(join(folder.path, path), content);
  };
  const signal = new AbortController().signal;
  const urls = async (corpus: Corpus) => (await corpus.documents(signal)).map(({ url }) => url);
  beforeEach(() => {
    Logger.overrideLogger(false);
    folder = temporaryDataDir();
  });
  afterEach(() => folder.remove());

  it('loads the documents of a folder, whatever they are called, in order', async () => {
    ['b.md', 'a/z.txt', 'a/y.HTML', 'a b/ü#?.md', '%41.md'].forEach((path) => write(path));
    ['.git/x.md', 'node_modules/x/README.md', 'image.png', 'code.ts'].forEach((path) => write(path));
    expect(await urls(new Corpus(folder.path))).toEqual([
      'corpus:%2541.md',
      'corpus:a/y.HTML',
      'corpus:a/z.txt',
      'corpus:a%20b/%C3%BC%23%3F.md',
      'corpus:b.md',
    ]);
  });

  it('takes titles from headings, HTML titles, or the name of the file', async () => {
    write('1.md', 'intro\n\n## The heading ##\n');
    write('2.html', '<title>The title</title><h1>Other</h1>');
    write('3.txt', 'no heading');
    write('4.md', Buffer.from('# caf\xe9', 'latin1'));
    const documents = await new Corpus(folder.path).documents(signal);
    expect(documents.map(({ title }) => title)).toEqual(['The heading', 'The title', '3.txt', 'café']);
  });

  it('finds the file whose name looks encoded, too', async () => {
    write('%41.md', 'percent');
    write('A.md', 'plain');
    const corpus = new Corpus(folder.path);
    expect(await corpus.find('corpus:%2541.md', signal)).toMatchObject({ text: 'percent' });
    expect(await corpus.find('corpus:A.md', signal)).toMatchObject({ text: 'plain' });
    expect(await corpus.find('corpus:A.md#part', signal)).toMatchObject({ text: 'plain' });
    expect(await corpus.find('corpus:../A.md', signal)).toBeNull();
  });

  it('follows links inside the folder once, and none that lead out', async () => {
    const outside = temporaryDataDir();
    writeFileSync(join(outside.path, 'secret.md'), 'secret');
    write('in/a.md');
    symlinkSync(join(folder.path, 'in'), join(folder.path, 'in', 'loop'));
    symlinkSync(join(folder.path, 'in', 'a.md'), join(folder.path, 'twice.md'));
    symlinkSync(outside.path, join(folder.path, 'out'));
    symlinkSync(join(outside.path, 'secret.md'), join(folder.path, 'out.md'));
    symlinkSync('/none', join(folder.path, 'dangling.md'));
    expect(await urls(new Corpus(folder.path))).toEqual(['corpus:in/a.md']);
    outside.remove();
  });

  it('keeps its limits', async () => {
    ['1.md', '2.md', '3.md'].forEach((path) => write(path, 'x'.repeat(10)));
    write('0-large.md', 'x'.repeat(100));
    const limits = { files: 10, fileBytes: 50, totalBytes: 1_000 };
    expect(await urls(new Corpus(folder.path, limits))).toHaveLength(3);
    expect(await urls(new Corpus(folder.path, { ...limits, files: 2 }))).toEqual([
      'corpus:1.md',
      'corpus:2.md',
    ]);
    expect(await urls(new Corpus(folder.path, { ...limits, totalBytes: 25 }))).toHaveLength(2);
  });

  it('refuses a folder that does not exist, by the name of its setting', () => {
    for (const path of [join(folder.path, 'none'), import.meta.filename]) {
      expect(() => new Corpus(path)).toThrow(EuglenaError);
      expect(() => new Corpus(path)).toThrow('SEARCH_CORPUS_DIR');
    }
  });

  it('is not available when its folder went away', async () => {
    const corpus = new Corpus(folder.path);
    folder.remove();
    await expect(corpus.ping()).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(corpus.documents(signal)).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it("is this project's own documentation by default", async () => {
    for (const url of await urls(new Corpus(null))) expect(url).toMatch(/^corpus:(?:docs\/|README\.md$)/);
  });

  it('is one for the search and for the page reader', async () => {
    write('found.md', '# Found\n\nEuglena viridis');
    const module = await Test.createTestingModule({
      imports: [
        SettingsModule.with(readSettings({ SEARCH_CORPUS_DIR: folder.path }), systemClock),
        WebSearchModule,
        PageReaderModule,
      ],
    }).compile();
    const [hit] = await module.get<WebSearch>(WEB_SEARCH).search('viridis', 1, signal);
    const page = await module.get<PageReader>(PAGE_READER).read(hit?.url ?? '', signal);
    expect(page).toMatchObject({ title: 'Found', text: '# Found\n\nEuglena viridis', truncated: false });
    await module.close();
  });
});
