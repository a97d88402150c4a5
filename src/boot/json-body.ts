import { EuglenaError } from '../domain/errors.js';

/** Deeper nesting is refused before parsing: parsers and validators recurse. Our own bodies need three levels. */
const DEPTH_MAX = 64;
/** More values than any of our bodies has; keeps a body of brackets and commas from becoming a million objects. */
const VALUES_MAX = 10_000;
/** Fails on what is not UTF-8. One for all bodies: making one costs more than decoding a small body. */
const UTF8 = new TextDecoder('utf-8', { fatal: true });
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = new Set(['[', '{'].map((bracket) => bracket.charCodeAt(0)));
const CLOSING = new Set([']', '}'].map((bracket) => bracket.charCodeAt(0)));

/**
 * Reads a JSON body (RFC 8259): an object in UTF-8. An empty body reads as none.
 * @throws EuglenaError `malformed_body`, or `invalid_field` for a field that is named like a part of every object
 *   (`__proto__`, `constructor`, …).
 */
export function readJsonBody(body: Buffer): Record<string, unknown> | undefined {
  if (body.byteLength === 0) return undefined;
  if (isTooDeep(body)) throw malformed(`is nested deeper than ${DEPTH_MAX} levels`);
  const value = parse(body);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed('is not a JSON object');
  }
  checkFields(value, { left: VALUES_MAX });
  return value as Record<string, unknown>;
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(UTF8.decode(body));
  } catch (error) {
    throw malformed('is not valid JSON in UTF-8', error);
  }
}

/** Counts brackets outside of texts. Bytes will do: in UTF-8, ASCII bytes are never part of another character. */
function isTooDeep(body: Buffer): boolean {
  let depth = 0;
  let inText = false;
  for (let index = 0; index < body.length; index += 1) {
    const byte = body[index] ?? 0;
    if (inText) {
      if (byte === BACKSLASH) index += 1;
      else if (byte === QUOTE) inText = false;
    } else if (byte === QUOTE) inText = true;
    else if (OPENING.has(byte)) depth += 1;
    else if (CLOSING.has(byte)) depth -= 1;
    if (depth > DEPTH_MAX) return true;
  }
  return false;
}

function checkFields(value: unknown, budget: { left: number }): void {
  budget.left -= 1;
  if (budget.left < 0) throw malformed(`holds more than ${VALUES_MAX} values`);
  if (typeof value !== 'object' || value === null) return;
  for (const [field, inner] of Object.entries(value)) {
    if (!Array.isArray(value) && field in Object.prototype) {
      throw new EuglenaError('invalid_field', 'The request has invalid fields; see "errors".', {
        fields: [{ field, message: 'is not a field of this request' }],
      });
    }
    checkFields(inner, budget);
  }
}

function malformed(what: string, cause?: unknown): EuglenaError {
  return new EuglenaError('malformed_body', `The body ${what}.`, { cause });
}
