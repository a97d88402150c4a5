import { describe, expect, it } from '@jest/globals';
import { plainJson, plainLine, plainText } from './plain-text.js';

describe('texts from elsewhere', () => {
  it.each([
    ['a colour', '\u001b[31mred\u001b[0m', 'red'],
    ['a window title', '\u001b]0;owned\u0007text', 'text'],
    ['an eight-bit sequence', '\u009b2Jtext', 'text'],
    ['backspaces', 'ab\b\bcd', 'abcd'],
    ['a carriage return', 'harmless\rrm -rf', 'harmlessrm -rf'],
    ['a turned direction', 'a\u202eb\u2066c', 'abc'],
    ['letters, tabs and line breaks', 'é\t漢\n🙂', 'é\t漢\n🙂'],
  ])('lose %s as they should', (_what, text, expected) => {
    expect(plainText(text)).toBe(expected);
  });

  it('fit on one line', () => {
    expect(plainLine('  a\n\nb\tc ')).toBe('a b c');
    expect(plainLine('🙂🙂🙂🙂', 3)).toBe('🙂🙂…');
    expect(plainLine('four', 4)).toBe('four');
  });

  it('stay the same JSON', () => {
    const value = { text: '\u001b[31m\u009b\u202e\n' };
    const json = plainJson(value);
    expect(plainText(json)).toBe(json);
    expect(JSON.parse(json)).toEqual(value);
  });
});
