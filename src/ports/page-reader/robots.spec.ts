import { describe, expect, it, test } from '@jest/globals';
import fc from 'fast-check';
import { parseRobots, tokenOf } from './robots.js';

const allows = (text: string, path: string) =>
  parseRobots(text, 'Euglena').allows(new URL(path, 'https://example.com'));

describe('parseRobots', () => {
  test.each([
    ['nothing', '', '/a', true],
    ['all', 'User-agent: *\nDisallow: /', '/a', false],
    ['an empty rule', 'User-agent: *\nDisallow:', '/a', true],
    ['a beginning', 'User-agent: *\nDisallow: /a', '/abc', false],
    ['another beginning', 'User-agent: *\nDisallow: /a', '/b', true],
    ['the longest rule', 'User-agent: *\nDisallow: /a\nAllow: /a/b', '/a/b/c', true],
    ['the longest rule, whatever the order', 'User-agent: *\nAllow: /a/b\nDisallow: /a', '/a/b/c', true],
    ['two rules as long', 'User-agent: *\nDisallow: /a\nAllow: /a', '/a', true],
    ['a star', 'User-agent: *\nDisallow: /*.gif', '/x/y.gif?z', false],
    ['stars', 'User-agent: *\nDisallow: /a*b*c', '/a1b2c3', false],
    ['stars that find nothing', 'User-agent: *\nDisallow: /a*b*c', '/a1c2b3', true],
    ['an end', 'User-agent: *\nDisallow: /*.php$', '/x.php', false],
    ['an end that is none', 'User-agent: *\nDisallow: /*.php$', '/x.php?y', true],
    ['an end without a star', 'User-agent: *\nDisallow: /$', '/a', true],
    ['an end that repeats', 'User-agent: *\nDisallow: /*aa$', '/aaa', false],
    ['a query', 'User-agent: *\nDisallow: /*?q=', '/s?q=1', false],
    ['our own group', 'User-agent: *\nDisallow: /\n\nUser-agent: euglena\nDisallow: /b', '/a', true],
    ['our own group with a version', 'User-agent: EUGLENA/9.9\nDisallow: /', '/a', false],
    ['our own empty group', 'User-agent: *\nDisallow: /\nUser-agent: Euglena\nDisallow:', '/a', true],
    [
      'our own groups together',
      'User-agent: Euglena\nDisallow: /a\n\nUser-agent: x\nDisallow: /\n\nUser-agent: Euglena\nDisallow: /b',
      '/b',
      false,
    ],
    ['a group of several', 'User-agent: x\nUser-agent: Euglena\nDisallow: /', '/a', false],
    ["somebody else's group", 'User-agent: Euglenoid\nDisallow: /', '/a', true],
    ['comments, spaces and line ends', '  user-agent : * # all\r\n\r\n DISALLOW :  /a # no', '/a', false],
    ['lines between', 'User-agent: *\nCrawl-delay: 5\nSitemap: https://x/\nDisallow: /a', '/a', false],
    ['a rule before any group', 'Disallow: /\nUser-agent: x\nDisallow: /', '/a', true],
    ['an encoded rule', 'User-agent: *\nDisallow: /%c3%bc', '/ü', false],
    ['a rule that is not encoded', 'User-agent: *\nDisallow: /ü', '/%C3%BC', false],
    ['the rules themselves', 'User-agent: *\nDisallow: /', '/robots.txt', true],
    ['a page of HTML', '<!doctype html><p>User-agent: *</p>', '/a', true],
  ])('keeps to %s', (_what, text, path, expected) => {
    expect(allows(text, path)).toBe(expected);
  });

  it('takes any text', () => {
    const line = fc.oneof(
      fc.constantFrom('User-agent: *', 'Disallow: /*a*$', 'Allow: %', 'disallow: *', ':'),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(line), fc.webUrl(), (lines, url) => {
        expect(typeof parseRobots(lines.join('\n'), 'Euglena').allows(new URL(url))).toBe('boolean');
      }),
    );
  });

  it('stays small and quick whatever a site sends', () => {
    const names = Array.from({ length: 20_000 }, (_, i) => `User-agent: a${i}\nUser-agent: *\n`).join('');
    const rules = `Disallow: /${'*a'.repeat(400)}b\n`.repeat(600);
    const robots = parseRobots(`${names}${rules}`, 'Euglena');
    expect(robots.size).toBeLessThanOrEqual(512_000);
    const before = performance.now();
    expect(robots.allows(new URL(`https://example.com/${'a'.repeat(8_000)}`))).toBe(true);
    expect(performance.now() - before).toBeLessThan(1_000);
  });
});

describe('tokenOf', () => {
  test.each([
    ['Euglena/0.1.0 (autonomous agent)', 'Euglena'],
    ['Acme-Agent (+https://acme.example)', 'Acme-Agent'],
    ['', ''],
  ])('%j is %j', (userAgent, token) => {
    expect(tokenOf(userAgent)).toBe(token);
  });
});
