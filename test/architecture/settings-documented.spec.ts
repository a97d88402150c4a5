import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { SETTING_NAMES } from '../../src/config/known-settings.js';
import { readSettings } from '../../src/config/settings.js';

const lines = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8').split('\n');
const assignments = lines.flatMap((line) => {
  const match = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(line);
  return match === null ? [] : [{ name: match[1] ?? '', value: match[2] ?? '' }];
});

describe('.env.example', () => {
  it('lists every setting once, and no other', () => {
    expect(assignments.map(({ name }) => name).sort()).toEqual([...SETTING_NAMES].sort());
  });

  it('holds nothing but settings and comments', () => {
    const others = lines.filter((line) => line !== '' && !line.startsWith('#'));
    expect(others).toHaveLength(assignments.length);
  });

  it('gives the defaults: starting with it is like starting with nothing', () => {
    const env = Object.fromEntries(assignments.map(({ name, value }) => [name, value]));
    expect(readSettings(env)).toEqual(readSettings({}));
  });
});
