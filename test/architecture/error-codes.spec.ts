import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { ERROR_KINDS, type ErrorCode } from '../../src/domain/errors.js';
import { HTTP_STATUS } from '../../src/gateway/problem-documents.js';

const text = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
const documented = new Map(
  text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map(([, code = '', status, meaning, retry, advice]) => [
      code.replaceAll('`', ''),
      { status, meaning, retry, advice },
    ]),
);
const codes = Object.keys(ERROR_KINDS) as ErrorCode[];

describe('docs/errors.md', () => {
  it('explains every error code, and no other', () => {
    expect([...documented.keys()].sort()).toEqual([...codes].sort());
  });

  it.each(codes)('tells the truth about %s', (code) => {
    const row = documented.get(code);
    expect(row?.status).toBe(String(HTTP_STATUS[code]));
    expect(row?.retry).toBe(ERROR_KINDS[code].retryHelps ? 'yes' : 'no');
    expect(row?.meaning).toMatch(/\.$/);
    expect(row?.advice).toMatch(/\.$/);
  });
});

it('gives every error code an HTTP status, or says that it is the outcome of a task', () => {
  for (const code of codes) {
    const status = HTTP_STATUS[code];
    expect(status === 'task outcome' || (status >= 400 && status < 600)).toBe(true);
  }
});
