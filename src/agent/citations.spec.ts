import { describe, expect, it } from '@jest/globals';
import { type Source } from '../domain/task.js';
import { citedAnswer, unknownCitations, unsupportedSentences } from './citations.js';

const source = (id: string): Source => ({
  id,
  url: `corpus:${id}.md`,
  title: id,
  retrievedAt: 0,
  sha256: '0'.repeat(64),
});
const SOURCES = [source('s1'), source('s2'), source('s3')];

const inLittleTime = (work: () => unknown) => {
  const begin = performance.now();
  work();
  expect(performance.now() - begin).toBeLessThan(2_000);
};

describe('citedAnswer', () => {
  it('keeps what cites a document that was read, and gives only the cited sources', () => {
    const { answer, sources, unsupported } = citedAnswer('It swims [s1] towards light [s3, s1].', SOURCES);
    expect(answer).toBe('It swims [s1] towards light [s3, s1].');
    expect(sources.map(({ id }) => id)).toEqual(['s1', 's3']);
    expect(unsupported).toEqual([]);
  });

  it('removes ids that were never given, and marks what stood on them', () => {
    const { answer, sources, unsupported } = citedAnswer('A [s9]. B [s2,s9]. C [s99, s98].', SOURCES);
    expect(answer).toBe('A. B [s2]. C.');
    expect(sources.map(({ id }) => id)).toEqual(['s2']);
    expect(unsupported).toContain('C.');
  });

  it('gives all that was read when nothing is cited', () => {
    expect(citedAnswer('It swims.', SOURCES).sources).toEqual(SOURCES);
    expect(citedAnswer('It swims [s9].', []).answer).toBe('It swims.');
  });

  it('leaves other brackets alone', () => {
    const text = 'list[0], [S1], [s], [source 1], [1]';
    expect(citedAnswer(text, SOURCES).answer).toBe(text);
  });

  it.each([' ', '[s1]', '```\n', '. ', '\n- a', '|-', '\n|-', '-', '\n'])(
    'reads a long run of %j in linear time',
    (piece) => {
      inLittleTime(() => citedAnswer(`a${piece.repeat(100_000)}b`, SOURCES));
    },
  );
});

describe('unknownCitations', () => {
  it('names each id once', () => {
    expect(unknownCitations('A [s9]. B [s2, s9][s4]. C [s1].', SOURCES)).toEqual(['s9', 's4']);
    expect(unknownCitations('A [s1].', SOURCES)).toEqual([]);
  });
});

describe('unsupportedSentences', () => {
  it.each([
    ['It swims [s1]. It eats [s2].', []],
    ['It swims. [s1] It eats.[s2] It sleeps.', ['It sleeps.']],
    ['It swims. It eats [s2].', ['It swims.']],
    ['It swims “fast.” [s1, s2] Mr. Dujardin saw it.', ['Mr. Dujardin saw it.']],
    ['It swims\nwith a flagellum [s1].', []],
    ['It swims\nwith a flagellum.', ['It swims with a flagellum.']],
    ['# How it swims\n\nIts parts are:\n- a flagellum [s1]\n- an eyespot\n', ['an eyespot']],
    ['```\nlet x = 1.\n```\nIt swims [s1].', []],
    ['| Part | Use |\n|---|:-:|\n| eyespot | light [s1] |\n| tail | none |', ['| tail | none |']],
    ['眼点がある。[s1]鞭毛がある。', ['鞭毛がある。']],
    ['', []],
  ])('finds what %j says without support', (answer, unsupported) => {
    expect(unsupportedSentences(answer)).toEqual(unsupported);
  });
});
