import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { type AgentFolder, agentFolder } from '../../../test/support/agent-host.js';
import { CorpusPageReader } from '../../ports/page-reader/corpus-page-reader.js';
import { Corpus } from '../../ports/web-search/corpus.js';
import { split, visit } from './visit.js';

const NOW = 1_700_000_000_000;

describe('visit', () => {
  beforeEach(() => Logger.overrideLogger(false));
  let folder: AgentFolder;
  const { signal } = new AbortController();
  const read = (url: string, sources: Parameters<typeof visit>[2] = []) =>
    visit(new CorpusPageReader(new Corpus(folder.documents)), url, sources, () => NOW, signal);
  beforeEach(() => {
    folder = agentFolder();
  });
  afterEach(() => folder.remove());

  it('brings the text, a source with its hash, and passages for memory', async () => {
    const { observation, passages } = await read('corpus:euglena.md');
    expect(observation).toMatchObject({ failed: false, text: expect.stringContaining('flagellum') });
    expect(observation.source).toMatchObject({
      id: 's1',
      url: 'corpus:euglena.md',
      title: 'Euglena',
      retrievedAt: NOW,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(passages).toEqual([{ sourceId: 's1', text: observation.text }]);
  });

  it('numbers a new address on and keeps the id of a known one', async () => {
    const { source } = (await read('corpus:euglena.md')).observation;
    const sources = source ? [source] : [];
    expect((await read('corpus:paramecium.md', sources)).observation.source?.id).toBe('s2');
    expect((await read('corpus:euglena.md#again', sources)).observation.source?.id).toBe('s1');
  });

  it('observes the beginning of a long document, and remembers all of it', async () => {
    const text = Array.from({ length: 400 }, (_, line) => `Paragraph ${line} ${'z'.repeat(80)}`).join('\n\n');
    writeFileSync(join(folder.documents, 'long.md'), text);
    const { observation, passages } = await read('corpus:long.md');
    expect(observation.text).toBe(text.slice(0, 6_000));
    expect(passages.map((passage) => passage.text).join('\n\n')).toBe(text);
  });

  it('turns a page that cannot be read into an observation', async () => {
    const { observation, passages } = await read('corpus:none.md');
    expect(observation).toEqual({ text: 'There is no such document in the corpus.', failed: true });
    expect(passages).toEqual([]);
  });

  it('rejects with the reason of the abort', async () => {
    const reader = new CorpusPageReader(new Corpus(folder.documents));
    const aborted = AbortSignal.abort(new Error('enough'));
    await expect(visit(reader, 'corpus:euglena.md', [], () => NOW, aborted)).rejects.toThrow('enough');
  });
});

describe('split', () => {
  it('ends pieces with paragraphs where it can', () => {
    const [a, b, c] = ['a'.repeat(400), 'b'.repeat(500), 'c'.repeat(300)];
    expect(split([a, b, c].join('\n\n'))).toEqual([`${a}\n\n${b}`, c]);
  });

  it('cuts a paragraph without end, losing nothing', () => {
    const text = 'q'.repeat(10_000);
    expect(split(text).join('')).toBe(text);
    expect(Math.max(...split(text).map(({ length }) => length))).toBeLessThanOrEqual(2_000);
  });

  it('makes nothing of an empty text', () => {
    expect(split(' \n\n ')).toEqual([]);
  });
});
