import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { type AgentFolder, agentFolder } from '../../../test/support/agent-host.js';
import { CorpusPageReader } from '../../ports/page-reader/corpus-page-reader.js';
import { Corpus } from '../../ports/web-search/corpus.js';
import { type Reading, visit } from './visit.js';

const NOW = 1_700_000_000_000;

describe('visit', () => {
  beforeEach(() => Logger.overrideLogger(false));
  let folder: AgentFolder;
  const { signal } = new AbortController();
  const read = (url: string, known: Partial<Reading> = {}) =>
    visit(
      new CorpusPageReader(new Corpus(folder.documents)),
      { url, need: '', sources: [], ...known },
      () => NOW,
      signal,
    );
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
    expect((await read('corpus:paramecium.md', { sources })).observation.source?.id).toBe('s2');
    expect((await read('corpus:euglena.md#again', { sources })).observation.source?.id).toBe('s1');
  });

  it('shows of a long document the beginning and what fits the need, and remembers all of it', async () => {
    const paragraphs = Array.from({ length: 400 }, (_, line) => `Paragraph ${line} ${'z'.repeat(80)}`);
    paragraphs[321] = 'The eyespot of Euglena is orange.';
    const text = paragraphs.join('\n\n');
    writeFileSync(join(folder.documents, 'long.md'), text);
    const { observation, passages } = await read('corpus:long.md', { need: 'Which colour has the eyespot?' });
    expect(observation.text).toMatch(/^Paragraph 0 z/);
    expect(observation.text).toMatch(/\[…\]\n\n.*The eyespot of Euglena is orange\..*\[…\]$/s);
    expect(observation.text.length).toBeLessThan(6_100);
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
    await expect(
      visit(reader, { url: 'corpus:euglena.md', need: '', sources: [] }, () => NOW, aborted),
    ).rejects.toThrow('enough');
  });
});
