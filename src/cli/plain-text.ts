import { stripVTControlCharacters } from 'node:util';

/** Control characters, but not tab and line feed; and those that turn the direction of writing. */
const UNSAFE = /(?![\t\n])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** A text from elsewhere, without anything that could steer the terminal. Line breaks and tabs stay. */
export function plainText(text: string): string {
  return stripVTControlCharacters(text).replace(UNSAFE, '');
}

/** The same on one line, at most `maxChars` characters long. */
export function plainLine(text: string, maxChars = Infinity): string {
  const characters = [
    ...plainText(text.replace(/[\r\n\u2028\u2029]+/g, ' '))
      .replace(/\s+/g, ' ')
      .trim(),
  ];
  if (characters.length <= maxChars) return characters.join('');
  return `${characters
    .slice(0, Math.max(0, maxChars - 1))
    .join('')
    .trimEnd()}…`;
}

/** JSON that a terminal can show: what {@link plainText} would remove is escaped, and so still there. */
export function plainJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(
    UNSAFE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
