import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from '@jest/globals';
import { HttpPageReader } from '../../src/ports/page-reader/http-page-reader.js';
import { PUBLIC_ADDRESS, page, startPageServer, TLS_NAME, type PageServer } from '../support/page-server.js';
import { pdf } from '../support/pdf.js';
import { pageReaderContract } from './page-reader.contract.js';

const resolve = async () => [PUBLIC_ADDRESS];
const open = (server: PageServer, options = {}) =>
  new HttpPageReader({ userAgent: 'Euglena/test', resolve, dial: server.dial, ...options });

pageReaderContract('the web', async () => {
  const server = await startPageServer();
  server.serve('/long', page(`<p>${'🦠'.repeat(120_000)}</p>`));
  const reader = open(server);
  return {
    reader,
    known: { url: 'http://example.com/article', title: 'Amoeba', words: 'It moves with **pseudopods**.' },
    long: 'http://example.com/long',
    missing: 'http://example.com/none',
    close: async () => {
      await reader.close();
      await server.close();
    },
  };
});

describe('pages of the web', () => {
  let server: PageServer;
  let reader: HttpPageReader;
  beforeAll(async () => {
    server = await startPageServer();
  });
  afterAll(() => server.close());
  beforeEach(() => {
    reader = open(server, { timeoutMs: 10_000, maxBodyBytes: 5_000_000 });
  });
  afterEach(() => reader.close());
  const read = (path: string, from = reader) =>
    from.read(`http://example.com${path}`, new AbortController().signal);

  it('sends what is needed and nothing that tells on its user', async () => {
    await read('/article');
    const { headers, httpVersion } = server.requests.at(-1) ?? {};
    expect(headers).toMatchObject({ host: 'example.com', 'user-agent': 'Euglena/test', connection: 'close' });
    expect(Object.keys(headers ?? {}).sort()).toEqual([
      ...['accept', 'accept-encoding', 'connection', 'host', 'user-agent'],
    ]);
    expect(httpVersion).toBe('1.1');
  });

  it('keeps no cookies', async () => {
    server.serve('/cookie', page('<p>words</p>', 'text/html', { 'set-cookie': 'id=1' }));
    await read('/cookie');
    await read('/cookie');
    expect(server.requests.at(-1)?.headers.cookie).toBeUndefined();
  });

  it('reads over TLS, and checks the certificate against the name', async () => {
    const signal = new AbortController().signal;
    const secure = await reader.read(`https://${TLS_NAME}/article`, signal);
    expect(secure).toMatchObject({ url: `https://${TLS_NAME}/article`, title: 'Amoeba' });
    await expect(reader.read('https://other.example.com/article', signal)).rejects.toMatchObject({
      kind: 'failed',
      message: "The server's certificate or encryption cannot be trusted.",
    });
  });

  it('follows five redirects of all kinds, and says where it ended', async () => {
    const found = await read('/hop1');
    expect(found.url).toBe('http://example.com/article');
    expect(found.title).toBe('Amoeba');
  });

  test.each([
    ['/text', 'example.com/text', 'plain words'],
    ['/markdown', 'A heading', 'intro\n\n# A heading #\n\nwords'],
    ['/json', 'example.com/json', '{"species":"viridis"}'],
    ['/xml', 'example.com/xml', '<title>Amoeba</title>'],
    ['/pdf', 'On Amoebae', 'The amoeba is a protozoan without a fixed form.\n\nReferences'],
    ['/paper.PDF', 'example.com/paper.PDF', 'The amoeba is a protozoan'],
    ['/pdf-as-html', 'example.com/pdf-as-html', 'The amoeba is a protozoan'],
    ['/pdf-as-text', 'example.com/pdf-as-text', 'The amoeba is a protozoan'],
    ['/shift-jis', 'example.com/shift-jis', 'ルトリ'],
    ['/gb18030', 'example.com/gb18030', '眼虫'],
    ['/xml-encoding', 'example.com/xml-encoding', 'čáp'],
    ['/untyped', 'Amoeba', '**pseudopods**'],
    ['/gzip', 'Amoeba', '**pseudopods**'],
    ['/deflate', 'Amoeba', '**pseudopods**'],
    ['/deflate-raw', 'Amoeba', '**pseudopods**'],
    ['/brotli', 'Amoeba', '**pseudopods**'],
    ['/latin1', 'example.com/latin1', 'café in Malmö'],
    ['/latin1-unlabelled', 'example.com/latin1-unlabelled', 'café'],
    ['/latin1-as-utf8', 'example.com/latin1-as-utf8', 'caf� au lait'],
    ['/meta-charset', 'example.com/meta-charset', 'мир'],
    ['/utf16', 'example.com/utf16', 'wide words'],
    ['/bad-charset', 'example.com/bad-charset', 'words'],
    ['/nested', 'example.com/nested', 'the surface'],
  ])('reads %s', async (path, title, words) => {
    const found = await read(path);
    expect(found.title).toBe(title);
    expect(found.text).toContain(words);
  });

  test.each([
    ['/not-gzip', 'The page is compressed in a way that cannot be read.'],
    ['/unknown-encoding', 'The page is compressed in a way that cannot be read.'],
    ['/image', 'The page is of type image/png, which is not text.'],
    ['/endless-binary', 'The page is of type application/octet-stream, which is not text.'],
    ['/image-as-html', 'The page is binary data, not text.'],
    ['/html-as-pdf', 'The page is binary data, not text.'],
    ['/pdf-broken', 'The PDF document cannot be read.'],
    ['/pdf-cut', 'The PDF document cannot be read.'],
    ['/pdf-empty', 'The page holds no text.'],
    ['/pdf-locked', 'The PDF document is protected by a password.'],
    ['/bomb-in-bomb', 'The page is compressed in a way that cannot be read.'],
    ['/empty', 'The page holds no text.'],
    ['/no-content', 'The page holds no text.'],
    ['/none', 'The server answered with status 404.'],
    ['/no-location', 'The server answered with status 302.'],
    ['/header', "The response's headers are too large."],
    ['/cut', 'The connection ended before the page did.'],
    ['/hang-up', 'The connection ended before the page did.'],
    ['/no-http', 'The answer is not valid HTTP.'],
  ])('fails on %s and says why', async (path, message) => {
    await expect(read(path)).rejects.toMatchObject({ name: 'PageFailure', kind: 'failed', message });
  });

  it('goes round a loop of redirects five times, and asks no more', async () => {
    const before = server.requests.length;
    const message = 'The address redirects more than 5 times.';
    for (const path of ['/loop', '/ping']) {
      await expect(read(path)).rejects.toMatchObject({ kind: 'refused', message });
    }
    expect(server.requests.length - before).toBe(12);
  });

  it('does not read a PDF that is too large, and hangs up', async () => {
    const small = open(server, { maxPdfBytes: 500 });
    const message = 'The PDF document is too large to be read.';
    await expect(read('/pdf', small)).rejects.toMatchObject({ kind: 'failed', message });
    await small.close();
  });

  it('gives a PDF up when its time is over; other pages are read meanwhile', async () => {
    const hasty = open(server, { timeoutMs: 2_000 });
    const endless = Array.from({ length: 3 }, () =>
      read('/pdf-endless', hasty).catch((error: unknown) => error),
    );
    expect(await Promise.race([read('/article'), ...endless])).toMatchObject({ title: 'Amoeba' });
    for (const failure of await Promise.all(endless)) {
      expect(failure).toMatchObject({ kind: 'failed', message: 'The page took longer than 2 s.' });
    }
    // Those turns are over.
    expect(await read('/pdf', hasty)).toMatchObject({ title: 'On Amoebae' });
    await hasty.close();
  });

  it('keeps its memory while a PDF unpacks to two hundred megabytes', async () => {
    server.serve('/pdf-bomb', page(pdf([Buffer.alloc(200_000_000, ' ')]), 'application/pdf'));
    const hasty = open(server, { timeoutMs: 2_000 });
    const before = process.memoryUsage.rss();
    let peak = before;
    const watching = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 10);
    await expect(read('/pdf-bomb', hasty)).rejects.toMatchObject({ kind: 'failed' });
    clearInterval(watching);
    expect(peak - before).toBeLessThan(330_000_000);
    await hasty.close();
  });

  it('ends the reading of a PDF at once when it is aborted, in its turn and before', async () => {
    const controller = new AbortController();
    const reason = new Error('cancelled');
    const readings = Array.from({ length: 3 }, () =>
      reader.read('http://example.com/pdf-endless', controller.signal).catch((error: unknown) => error),
    );
    await read('/article');
    controller.abort(reason);
    expect(await Promise.all(readings)).toEqual([reason, reason, reason]);
    expect(await read('/pdf')).toMatchObject({ title: 'On Amoebae' });
  });

  test.each(['/endless', '/bomb', '/bomb-brotli'])(
    'stops %s at the limit, keeps what came, and hangs up',
    async (path) => {
      const small = open(server, { maxBodyBytes: 100_000 });
      const found = await read(path, small);
      expect(found.truncated).toBe(true);
      expect(found.text.length).toBeGreaterThan(90_000);
      expect(found.text.length).toBeLessThanOrEqual(100_000);
      await server.lastClosed();
      await small.close();
    },
  );

  test.each(['/drip', '/silent'])('gives %s up when its time is over, and hangs up', async (path) => {
    const hasty = open(server, { timeoutMs: 300 });
    await expect(read(path, hasty)).rejects.toMatchObject({
      kind: 'failed',
      message: 'The page took longer than 0.3 s.',
    });
    await server.lastClosed();
    await hasty.close();
  });

  it.each(['/drip', '/silent', '/endless-slow'])('hangs up at once when %s is aborted', async (path) => {
    const controller = new AbortController();
    const reason = new Error('cancelled');
    const arrived = new Promise<void>((arrive) => {
      server.serve('/silent', () => arrive());
      server.serve('/drip', (_, response) => {
        response.writeHead(200, { 'content-type': 'text/plain' }).write('.', () => arrive());
      });
      server.serve('/endless-slow', (_, response) => {
        response.writeHead(200, { 'content-type': 'text/html' }).write('<p>', () => arrive());
      });
    });
    const reading = reader.read(`http://example.com${path}`, controller.signal);
    await arrived;
    controller.abort(reason);
    await expect(reading).rejects.toBe(reason);
    await server.lastClosed();
  });

  it('keeps its memory while it meets all of them', async () => {
    const before = process.memoryUsage().rss;
    const paths = ['/endless', '/bomb', '/one-line', '/nested', '/header', '/endless-binary'];
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(paths.map((path) => read(path).catch(() => undefined)));
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(400_000_000);
  });

  it('ends the reads that are under way when it closes', async () => {
    const reading = read('/never').catch((error: unknown) => error);
    server.serve('/never', () => void reader.close());
    expect(await reading).toMatchObject({ kind: 'failed' });
  });
});
