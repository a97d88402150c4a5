import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from '@jest/globals';
import { CorpusWebSearch } from '../../src/ports/web-search/corpus-web-search.js';
import { Corpus } from '../../src/ports/web-search/corpus.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { webSearchContract } from './web-search.contract.js';

const FILES = {
  'lease.md': '# Leases\n\nA worker holds a lease.\n\nThe fencing token grows with every claim of a task.',
  'queue.md':
    '# Work queue\n\nMessages wait in the queue. A message that fails goes to the dead-letter queue.',
  'quota.md': '# Quota\n\nEach user has 256 ticks a day. The quota is counted by the UTC day.',
  'scaling.md': `# Scaling\n\n${'The fleet grows with the queue and its messages. '.repeat(40)}`,
  'deep.txt': `${'Filler that says nothing at all. '.repeat(200)}\nThe axolotl regrows limbs.\n${'More filler. '.repeat(200)}`,
  'seite.html': '<title>Straße</title><p>Über die Straße gehen.</p>',
};

function corpusSearch() {
  const folder = temporaryDataDir();
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder.path, name), text);
  const search = new CorpusWebSearch(new Corpus(folder.path));
  return { search, query: 'queue quota lease', close: async () => folder.remove() };
}

webSearchContract('a corpus', async () => corpusSearch());

// What other searches find is theirs to decide; this ranking is ours.
describe('the ranking of the corpus', () => {
  let opened: ReturnType<typeof corpusSearch>;
  beforeEach(() => {
    opened = corpusSearch();
  });
  afterEach(() => opened.close());
  const find = async (query: string) => opened.search.search(query, 5, AbortSignal.timeout(5_000));

  test.each([
    ['What is the fencing token?', 'corpus:lease.md'],
    ['how many ticks does a user have per day', 'corpus:quota.md'],
    ['WORK QUEUES', 'corpus:queue.md'],
    ['message failing', 'corpus:queue.md'],
    ['axolotls', 'corpus:deep.txt'],
    ['STRASSE straße', 'corpus:seite.html'],
    ['scaled', 'corpus:scaling.md'],
  ])('%j finds %s first', async (query, url) => {
    expect((await find(query))[0]?.url).toBe(url);
  });

  it('finds nothing for words that occur nowhere, and for words that say nothing', async () => {
    expect(await find('xylophone')).toEqual([]);
    expect(await find('what is the')).toEqual([]);
    expect(await find('?!')).toEqual([]);
  });

  it('shows the passage that fits best', async () => {
    expect((await find('axolotl limbs'))[0]?.snippet).toContain('The axolotl regrows limbs.');
    expect((await find('fencing token'))[0]?.snippet).toContain('The fencing token grows with every claim');
    expect((await find('fleet'))[0]?.snippet.length).toBeLessThanOrEqual(200);
  });
});
