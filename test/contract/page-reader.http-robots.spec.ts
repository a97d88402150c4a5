import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, test } from '@jest/globals';
import { HttpPageReader } from '../../src/ports/page-reader/http-page-reader.js';
import { ManualClock } from '../support/manual-clock.js';
import { page, PUBLIC_ADDRESS, type PageServer, redirect, startPageServer } from '../support/page-server.js';

const HOUR = 3_600_000;
const text = (body: string) => page(body, 'text/plain');
const status = (code: number) => (_: unknown, response: { writeHead(code: number): { end(): void } }) =>
  response.writeHead(code).end();

describe("a site's robots.txt", () => {
  let server: PageServer;
  let reader: HttpPageReader;
  let clock: ManualClock;
  let answers: (hostname: string) => readonly string[];
  beforeEach(async () => {
    server = await startPageServer();
    clock = new ManualClock();
    answers = () => [PUBLIC_ADDRESS];
    const resolve = async (hostname: string) => answers(hostname);
    const now = () => clock.now();
    reader = new HttpPageReader({
      userAgent: 'Euglena/1 (test)',
      respectRobots: true,
      resolve,
      dial: server.dial,
      now,
    });
  });
  afterEach(async () => {
    await reader.close();
    await server.close();
  });
  const read = (path: string, host = 'example.com') =>
    reader.read(`http://${host}${path}`, new AbortController().signal);
  const asked = () => server.requests.map(({ url }) => url);
  const refusal = {
    kind: 'refused',
    message: "The site's robots.txt asks programs not to read this address.",
  };

  it('is asked once an hour and site, before the page, as the same agent', async () => {
    server.serve('/robots.txt', text('User-agent: euglena\nDisallow: /text'));
    await read('/article');
    await expect(read('/text')).rejects.toMatchObject(refusal);
    await read('/json');
    expect(asked()).toEqual(['/robots.txt', '/article', '/json']);
    expect(new Set(server.requests.map(({ headers }) => headers['user-agent']))).toEqual(
      new Set(['Euglena/1 (test)']),
    );
    await expect(read('/text', 'other.example.com')).rejects.toMatchObject(refusal);
    expect(asked().filter((url) => url === '/robots.txt')).toHaveLength(2);
    server.serve('/robots.txt', text(''));
    clock.advance(HOUR);
    expect((await read('/text')).text).toBe('plain words');
  });

  it('holds for where a redirect leads, too', async () => {
    server.serve('/robots.txt', text('User-agent: *\nDisallow: /text'));
    server.serve('/start', redirect('/text'));
    await expect(read('/start')).rejects.toMatchObject(refusal);
    expect(asked()).toEqual(['/robots.txt', '/start']);
  });

  test.each([404, 401, 403, 410, 429, 204, 304])('that answers %d forbids nothing', async (code) => {
    server.serve('/robots.txt', status(code));
    expect((await read('/text')).text).toBe('plain words');
  });

  test.each([500, 503])('that answers %d cannot say, so the page is left alone for now', async (code) => {
    server.serve('/robots.txt', status(code));
    const failure = {
      kind: 'failed',
      message: "The site's robots.txt cannot be read now, so the page was left alone.",
    };
    await expect(read('/text')).rejects.toMatchObject(failure);
    server.serve('/robots.txt', text(''));
    expect((await read('/text')).text).toBe('plain words');
  });

  it('is found behind redirects, and unpacked', async () => {
    server.serve('/robots.txt', redirect('http://other.example.com/rules'));
    const rules = gzipSync('User-agent: *\nDisallow: /text');
    server.serve('/rules', page(rules, 'text/plain', { 'content-encoding': 'gzip' }));
    await expect(read('/text')).rejects.toMatchObject(refusal);
  });

  test.each([
    ['itself', '/robots.txt'],
    ['a private address', 'http://127.0.0.1/'],
    ['a service', 'http://example.com:22/'],
  ])('that leads to %s is none', async (_what, location) => {
    server.serve('/robots.txt', redirect(location));
    expect((await read('/text')).text).toBe('plain words');
    expect(new Set(server.dialled)).toEqual(new Set([PUBLIC_ADDRESS]));
  });

  it('is not dialled at an address that is not public', async () => {
    answers = () => ['10.0.0.1'];
    await expect(read('/text')).rejects.toMatchObject({
      kind: 'refused',
      message: 'The name leads to an address that is not public.',
    });
    expect(server.dialled).toEqual([]);
  });

  it('is read to its limit when it never ends', async () => {
    server.serve('/robots.txt', (_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' }).write('User-agent: *\nDisallow: /text\n');
      const pour = () => {
        while (!response.destroyed && response.write('# more\n'.repeat(1_000)));
      };
      response.on('drain', pour);
      pour();
    });
    await expect(read('/text')).rejects.toMatchObject(refusal);
  });

  it('that hangs is within the time of the page', async () => {
    server.serve('/robots.txt', () => undefined);
    const hasty = new HttpPageReader({
      userAgent: 'Euglena',
      respectRobots: true,
      timeoutMs: 200,
      resolve: async () => [PUBLIC_ADDRESS],
      dial: server.dial,
    });
    await expect(hasty.read('http://example.com/text', new AbortController().signal)).rejects.toMatchObject({
      kind: 'failed',
      message: 'The page took longer than 0.2 s.',
    });
    await hasty.close();
  });
});
