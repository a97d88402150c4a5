import { createHash } from 'node:crypto';
import { type Page } from './page-reader.port.js';

/** More than any model's window takes, small enough to keep beside a task. */
export const MAX_TEXT_CHARS = 200_000;
const MAX_TITLE_CHARS = 300;

/** A page as the port promises it: text without control characters, within the limit, and its hash. */
export function makePage(found: { url: string; title: string; text: string; truncated: boolean }): Page {
  const whole = cleanText(found.text);
  const text = cutAt(whole, MAX_TEXT_CHARS);
  return {
    url: found.url,
    title: cutAt(cleanText(found.title).replace(/\s+/g, ' ').trim(), MAX_TITLE_CHARS),
    text,
    sha256: createHash('sha256').update(text).digest('hex'),
    truncated: found.truncated || text.length < whole.length,
  };
}

function cleanText(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/[^\P{Cc}\n\t]|\uFEFF/gu, '')
    .trim();
}

/** Cuts without splitting a surrogate pair: half of one has no UTF-8, and the hash would not fit the text. */
function cutAt(text: string, length: number): string {
  if (text.length <= length) return text;
  const splits = /[\uD800-\uDBFF]/.test(text.charAt(length - 1));
  return text.slice(0, splits ? length - 1 : length);
}
