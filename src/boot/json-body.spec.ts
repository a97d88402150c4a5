import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { EuglenaError } from '../domain/errors.js';
import { readJsonBody } from './json-body.js';

const read = (text: string) => readJsonBody(Buffer.from(text));
const refusal = (body: Buffer) => {
  try {
    readJsonBody(body);
    return null;
  } catch (error) {
    return error instanceof EuglenaError ? error.code : 'not ours';
  }
};

describe('a JSON body', () => {
  it('is read as JSON.parse does, if it is an object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 8 }), { maxKeys: 20 }), (value) => {
        const plain = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
        fc.pre(refusal(Buffer.from(JSON.stringify(plain))) === null);
        expect(readJsonBody(Buffer.from(JSON.stringify(plain)))).toEqual(plain);
      }),
    );
  });

  it('never fails otherwise than with a code, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((json) => Buffer.from(json)),
        ),
        (bytes) => {
          expect([null, 'malformed_body', 'invalid_field']).toContain(refusal(Buffer.from(bytes)));
        },
      ),
    );
  });

  it('may be empty', () => {
    expect(read('')).toBeUndefined();
  });

  it('may nest 64 levels, and brackets in texts do not count', () => {
    const nested = (depth: number) => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
    expect(refusal(Buffer.from(nested(64)))).toBeNull();
    expect(refusal(Buffer.from(nested(65)))).toBe('malformed_body');
    expect(read(JSON.stringify({ a: `\\"${'['.repeat(100)}"` }))).toEqual({ a: `\\"${'['.repeat(100)}"` });
  });

  it('holds a bounded number of values', () => {
    expect(refusal(Buffer.from(JSON.stringify({ a: Array(9_998).fill(0) })))).toBeNull();
    expect(refusal(Buffer.from(JSON.stringify({ a: Array(9_999).fill(0) })))).toBe('malformed_body');
  });

  it.each(['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'valueOf'])(
    'has no field %s',
    (name) => {
      expect(refusal(Buffer.from(`{"a":[{"${name}":1}]}`))).toBe('invalid_field');
      expect(refusal(Buffer.from(`{"a":"${name}"}`))).toBeNull();
    },
  );
});
