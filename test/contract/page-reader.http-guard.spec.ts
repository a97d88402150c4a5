import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, test } from '@jest/globals';
import { HttpPageReader } from '../../src/ports/page-reader/http-page-reader.js';
import { PUBLIC_ADDRESS, page, redirect, startPageServer, type PageServer } from '../support/page-server.js';

interface Case {
  readonly id: string;
  readonly url: string;
  readonly why: string;
  readonly stage: string;
  readonly resolves_to?: readonly string[] | readonly (readonly string[])[];
  readonly redirect_status?: number;
  readonly redirect_to?: string;
  readonly redirect_resolves_to?: readonly string[];
  readonly redirect_chain?: readonly string[];
}
const { cases } = JSON.parse(readFileSync('test/corpora/ssrf-urls.json', 'utf8')) as { cases: Case[] };

/** Not one socket may be opened to what the guard refuses: sockets are counted, errors are not enough. */
describe('what the web reader dials', () => {
  let server: PageServer;
  let reader: HttpPageReader;
  let answers: (hostname: string) => readonly string[];
  let lookups: string[];
  beforeEach(async () => {
    server = await startPageServer();
    answers = () => [PUBLIC_ADDRESS];
    lookups = [];
    const resolve = async (hostname: string) => {
      lookups.push(hostname);
      return answers(hostname);
    };
    reader = new HttpPageReader({ userAgent: 'test', resolve, dial: server.dial });
  });
  afterEach(async () => {
    await reader.close();
    await server.close();
  });
  const read = (url: string) => reader.read(url, new AbortController().signal);
  const dns = cases.filter(({ stage }) => stage === 'dns');
  const redirects = cases.filter(({ stage }) => stage === 'redirect');
  const allowed = cases.filter(({ stage }) => stage === 'allow');
  const decided = cases.filter(({ stage }) => !['dns', 'redirect', 'allow'].includes(stage));

  it('asks no resolver and opens no socket for an address that is refused as it stands', async () => {
    for (const { url } of decided) await expect(read(url)).rejects.toMatchObject({ kind: 'refused' });
    expect(lookups).toEqual([]);
    expect(server.dialled).toEqual([]);
  });

  test.each(dns)('opens no socket for $id: $why', async ({ url, resolves_to: answer = [] }) => {
    answers = () => answer as readonly string[];
    await expect(read(url)).rejects.toMatchObject({ kind: answer.length === 0 ? 'failed' : 'refused' });
    expect(server.dialled).toEqual([]);
  });

  test.each(redirects)('does not follow $id: $why', async (given) => {
    const { redirect_chain: chain = [], redirect_to: to = '', redirect_resolves_to: second } = given;
    answers = (host) => (host === 'redirect.example.com' ? [PUBLIC_ADDRESS] : (second ?? [PUBLIC_ADDRESS]));
    server.serve('/start', redirect(to, given.redirect_status));
    let hop = 0;
    server.serve('/', (request, response) => redirect(chain[++hop] ?? '/article')(request, response));
    await expect(read(given.url)).rejects.toMatchObject({ kind: 'refused' });
    expect(server.dialled.length).toBeGreaterThan(0);
    expect(server.dialled.length).toBeLessThanOrEqual(6);
    expect(new Set(server.dialled)).toEqual(new Set([PUBLIC_ADDRESS]));
  });

  test.each(allowed)('reaches $id: $why', async ({ url, resolves_to: answer = [] }) => {
    answers = () => answer as readonly string[];
    const plain = url.replace(/^https:/i, 'http:');
    server.serve(new URL(plain).pathname + new URL(plain).search, page('<p>reached</p>'));
    expect((await read(plain)).text).toBe('reached');
    expect(server.dialled).toEqual([answer[0] ?? new URL(url).hostname.replace(/^\[|\]$/g, '')]);
  });

  it('dials the answer that was checked when the next answer would be another', async () => {
    let asked = 0;
    answers = () => (asked++ === 0 ? ['93.184.216.34'] : ['127.0.0.1']);
    await read('http://rebind.example.com/article');
    expect(asked).toBe(1);
    await expect(read('http://rebind.example.com/article')).rejects.toMatchObject({ kind: 'refused' });
    expect(server.dialled).toEqual(['93.184.216.34']);
  });

  it('checks again on a redirect to the very same name', async () => {
    let asked = 0;
    answers = () => (asked++ === 0 ? ['93.184.216.34'] : ['10.0.0.1']);
    server.serve('/start', redirect('/article'));
    await expect(read('http://rebind.example.com/start')).rejects.toMatchObject({ kind: 'refused' });
    expect(server.dialled).toEqual(['93.184.216.34']);
  });

  it('prefers IPv4 among public answers, and takes IPv6 alone', async () => {
    answers = () => ['2606:4700::1', '1.1.1.1'];
    await read('http://example.com/article');
    answers = () => ['2606:4700::1'];
    await read('http://example.com/article');
    expect(server.dialled).toEqual(['1.1.1.1', '2606:4700::1']);
  });

  it('says that a name does not exist', async () => {
    answers = () => {
      throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
    };
    await expect(read('http://none.example.com/')).rejects.toMatchObject({
      kind: 'failed',
      message: 'The name could not be resolved.',
    });
  });

  it('ends at once when it is aborted while a resolver thinks', async () => {
    const controller = new AbortController();
    const reason = new Error('cancelled');
    let asked = () => {};
    const asking = new Promise<void>((done) => (asked = done));
    const stuck = new HttpPageReader({
      userAgent: 'test',
      resolve: () => {
        asked();
        return new Promise(() => {});
      },
      dial: server.dial,
    });
    const reading = stuck.read('http://example.com/', controller.signal);
    await asking;
    controller.abort(reason);
    await expect(reading).rejects.toBe(reason);
    expect(server.dialled).toEqual([]);
    await stuck.close();
  });
});
