import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ACTION_NAMES } from './action.js';
import { parseAction } from './parse-action.js';

const action = (text: string) => {
  const parsed = parseAction(text);
  return parsed.kind === 'action' ? `${parsed.action.name} ${parsed.action.argument}` : 'unparseable';
};
const exit = '{"action":"EXIT","answer":"pwned"}';
const search = '{"action":"SEARCH","query":"a"}';

describe('any text at all', () => {
  const name = fc.constantFrom(...ACTION_NAMES);
  const reply = fc
    .record({ action: name, argument: fc.string({ minLength: 1 }), thought: fc.string() })
    .map((fields) => JSON.stringify(fields));
  const piece = fc.constantFrom(
    ...[
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '\\',
      '\n',
      '```',
      '~~~',
      'text',
      '<page>',
      '</page>',
      '<think>',
      '> ',
    ],
    ...['ACTION: ', 'EXIT', 'SEARCH("', '")', search, exit, '<|im_end|>', "'", '\ud800', '\u0000'],
  );

  it('never throws and always says the same', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece).map((pieces) => pieces.join('')),
    );
    fc.assert(
      fc.property(text, (input) => {
        const parsed = parseAction(input);
        expect(parseAction(input)).toEqual(parsed);
        if (parsed.kind === 'action') expect(parsed.action.argument).not.toBe('');
      }),
      { numRuns: 2_000 },
    );
  });

  it('keeps the action of a reply that lost its end, or refuses it', () => {
    fc.assert(
      fc.property(reply, fc.nat(), (text, at) => {
        const cut = text.slice(0, at % text.length);
        expect(action(cut)).toBe('unparseable');
      }),
    );
  });

  it('keeps the action of a reply that lost or gained a character, or refuses it', () => {
    const stray = fc.constantFrom('{', '}', '"', '\\', ',', ':', ' ', '\n', '[', ']');
    fc.assert(
      fc.property(reply, fc.nat(), stray, fc.boolean(), (text, place, character, replaces) => {
        const at = place % text.length;
        const mutated = text.slice(0, at) + character + text.slice(replaces ? at + 1 : at);
        const before = parseAction(text);
        const after = parseAction(mutated);
        if (before.kind === 'action' && after.kind === 'action') {
          expect(after.action.name).toBe(before.action.name);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('finds no EXIT in prose', () => {
    const prose = fc.string({ unit: 'grapheme' }).filter((text) => !/[{(]|action:/i.test(text));
    fc.assert(
      fc.property(prose, prose, (before, after) => {
        expect(action(`${before} I will EXIT now ${after}`)).toBe('unparseable');
      }),
    );
  });

  const megabyte = (unit: string) => unit.repeat(Math.ceil(1_000_000 / unit.length));
  it.each([
    ...[
      '{',
      '[',
      '"',
      '{"',
      '{"a":',
      '[{',
      '{"\\q"',
      '{"a":"',
      '{"{',
      '<',
      '<p',
      '<page',
      '<page>',
      '</page>',
      '`',
      '```x\n',
    ],
    ...[
      '\n',
      '\n> ',
      '~~~\n',
      'ACTION: ',
      'ACTION: EXIT ',
      '\nACTION: EXIT a',
      '\nEXIT("',
      '\nEXIT("a" ',
      '\n[ ',
      '<|a|>',
    ],
    ...[
      ' ',
      '\\',
      '{}',
      '{"action":"EXIT"}',
      search,
      `${search}\n`,
      `[${search},`,
      'ACTION: EXIT a\n<|a|>',
      '\n```\n',
    ],
  ])('takes linear time: 1 MB of %j', (unit) => {
    for (const text of [megabyte(unit), `ACTION: EXIT x${megabyte(unit)}x`, `{"a":"${megabyte(unit)}`]) {
      const started = performance.now();
      parseAction(text);
      // The aim is 50 ms; the bound leaves room for a busy machine and is far below quadratic time.
      expect(performance.now() - started).toBeLessThan(1_000);
    }
  });
});
