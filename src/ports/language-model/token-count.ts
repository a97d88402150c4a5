import { createRequire } from 'node:module';
import type * as Encoding from 'gpt-tokenizer/encoding/cl100k_base';

const load = createRequire(import.meta.url);
/** The time of the encoding grows with the square of a run of letters, so that no run may be longer. */
const PIECE_CHARS = 512;
let encoding: typeof Encoding | undefined;

/**
 * How many tokens a text has in cl100k_base, the encoding of GPT-4. Other models' encodings differ by a few per cent for
 * English and by more for other languages. Every 512 characters it may count one too many. The encoding takes 0.1 s and 20 MB, so
 * it is loaded when it is needed first.
 */
export function countTokens(text: string): number {
  encoding ??= load('gpt-tokenizer/encoding/cl100k_base') as typeof Encoding;
  let count = 0;
  for (let start = 0; start < text.length; start += PIECE_CHARS) {
    // Special tokens in a text are text.
    count += encoding.countTokens(text.slice(start, start + PIECE_CHARS), { disallowedSpecial: new Set() });
  }
  return count;
}
