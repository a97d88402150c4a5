import { describe, expect, it } from '@jest/globals';
import { parseUrl } from './parse-url.js';

describe('parseUrl', () => {
  it.each([
    ['https://a.example/b#c', undefined, 'https://a.example/b#c'],
    ['../b', 'https://a.example/x/y', 'https://a.example/b'],
    ['//b.example', 'https://a.example/', 'https://b.example/'],
    ['b', undefined, null],
    ['b', 'nonsense', null],
    ['', undefined, null],
    ['https://', undefined, null],
  ])('reads %j on %j as %j', (text, page, href) => {
    expect(parseUrl(text, page)?.href ?? null).toBe(href);
  });

  // More often than it takes until the engine compiles what it calls.
  it('reads an address with any letters, however often it was asked', () => {
    const texts = ['https://straße.example/', 'https://a.example/é', 'https://例え.example/'];
    for (let asked = 0; asked < 30_000; asked += 1) {
      if (parseUrl(texts[asked % 3] ?? '') === null) throw new Error(`not the ${asked}th time`);
    }
  });
});
