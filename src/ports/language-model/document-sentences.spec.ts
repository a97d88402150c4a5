import { describe, expect, it } from '@jest/globals';
import { sentencesOf } from './document-sentences.js';

const texts = (document: string) => sentencesOf(document).map(({ text }) => text);

describe('the sentences of a document', () => {
  it('joins wrapped lines and ends at full stops, not at abbreviations', () => {
    expect(texts('One is\nhere, e.g. Two. Dr. Who\ncame! "Really?" 3.5 is no end.')).toEqual([
      'One is here, e.g. Two.',
      'Dr. Who came!',
      '"Really?"',
      '3.5 is no end.',
    ]);
    expect(texts('猫がいる。犬もいる。')).toEqual(['猫がいる。', '犬もいる。']);
  });

  it('cleans the markup and keeps names', () => {
    const line =
      'Set **`max_ticks`** of `task:<id>` in [the *API*](https://x.example/a_(b)) <br> &amp; ![pic](p.png)wait.';
    expect(texts(line)).toEqual(['Set max_ticks of task:<id> in the API & wait.']);
  });

  it('passes over headings, code, table heads and lists of links', () => {
    const document = [
      '---\ntitle: x\n---',
      '# Head',
      '```sh\nrun --now\n```',
      'Under\n=====',
      '- [one](a.md)\n- [two](b.md)',
      '| name | means |\n|---|---|\n| `N` | a number |',
      '> Quoted text.',
    ].join('\n');
    expect(texts(document)).toEqual(['N — a number', 'Quoted text.']);
  });

  it('knows the heading and the introduction of a list', () => {
    const [, item, after] = sentencesOf('## Rule\nThe parts are:\n- the first\n  part;\n\nAfter.');
    expect(item).toMatchObject({ text: 'the first part;', kind: 'item', context: 'Rule The parts are:' });
    expect(after).toMatchObject({ text: 'After.', kind: 'prose', context: 'Rule' });
  });
});
