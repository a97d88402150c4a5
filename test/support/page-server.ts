import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, type Server } from 'node:net';
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { buildConnector } from 'undici';
import { selfSigned } from './certificate.js';
import { lockedPdf, pdf } from './pdf.js';

/** The name that the server's certificate is for. */
export const TLS_NAME = 'secure.example.com';
export const PUBLIC_ADDRESS = '93.184.216.34';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A web server on this host that stands for the whole internet. */
export interface PageServer {
  /** Opens a real socket, to this server whatever the address; a reader under test gets it as its `dial`. */
  readonly dial: buildConnector.connector;
  /** The addresses that sockets were opened to, in order. */
  readonly dialled: string[];
  /** The requests that came, as they came. */
  readonly requests: IncomingMessage[];
  /** Answers for a path, before the built-in pages. */
  serve(path: string, handler: Handler): void;
  /** Resolves when the response of the last request was closed, by whichever side. */
  lastClosed(): Promise<void>;
  close(): Promise<void>;
}

export async function startPageServer(): Promise<PageServer> {
  const handlers = new Map<string, Handler>();
  const requests: IncomingMessage[] = [];
  const dialled: string[] = [];
  let closed = Promise.resolve();
  const listener: RequestListener = (request, response) => {
    requests.push(request);
    closed = once(response, 'close').then(() => undefined);
    const handler = handlers.get(request.url ?? '') ?? PAGES[request.url ?? ''] ?? notFound;
    handler(request, response);
  };
  const certificate = selfSigned(TLS_NAME);
  const servers = [createServer(listener), createTlsServer(certificate, listener)];
  const [port, tlsPort] = await Promise.all(servers.map(listen));
  const connect = buildConnector({ ca: certificate.cert });
  return {
    dial: (options, callback) => {
      dialled.push(options.hostname);
      const to = String(options.protocol === 'https:' ? tlsPort : port);
      connect({ ...options, hostname: '127.0.0.1', port: to }, callback);
    },
    dialled,
    requests,
    serve: (path, handler) => void handlers.set(path, handler),
    lastClosed: () => closed,
    close: async () => {
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
        await once(server, 'close');
      }
    },
  };
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const HTML = 'text/html; charset=utf-8';

/** Answers with one body and its headers. */
export function page(
  body: string | Buffer,
  type: string | null = HTML,
  headers: Record<string, string> = {},
) {
  return (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(200, type === null ? headers : { 'content-type': type, ...headers }).end(body);
  };
}

export function redirect(location: string, status = 302): Handler {
  return (_, response) => void response.writeHead(status, { location }).end('see there');
}

const PAPER = ['(The amoeba is a pro-) Tj T* (tozoan without a fixed form.) Tj', '(References) Tj'];
const ARTICLE =
  '<title>Amoeba</title><article><h1>Amoeba</h1><p>It moves with <b>pseudopods</b>.</p></article>';
/** 200 MB when unpacked, 200 KB as sent. */
const bomb = made(() =>
  Buffer.concat(Array.from({ length: 200 }, () => gzipSync(Buffer.alloc(1_000_000, 'a ')))),
);

const FAST_BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };
const brotliBomb = made(() => brotliCompressSync(Buffer.alloc(200_000_000, 'a '), FAST_BROTLI));
const endlessPdf = made(() => pdf(['() Tj '.repeat(1_000_000)], 'Endless', 10_000));

/** Made when it is asked for first: it takes its time. */
function made<T>(make: () => T): () => T {
  let value: T | undefined;
  return () => (value ??= make());
}

function pour(response: ServerResponse, chunk: Buffer): void {
  const more = () => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', more);
  more();
}

function notFound(_: IncomingMessage, response: ServerResponse): void {
  response.writeHead(404, { 'content-type': HTML }).end('<p>no such page</p>');
}

const PAGES: Record<string, Handler> = {
  '/article': page(`${ARTICLE}<script>steal()</script><a href="/next">next</a>`),
  '/text': page('plain words', 'text/plain'),
  '/markdown': page('intro\n\n# A heading #\n\nwords', 'text/markdown'),
  '/json': page('{"species":"viridis"}', 'application/json'),
  '/untyped': page(ARTICLE, null),
  '/gzip': page(gzipSync(ARTICLE), HTML, { 'content-encoding': 'gzip' }),
  '/deflate': page(deflateSync(ARTICLE), HTML, { 'content-encoding': 'deflate' }),
  '/deflate-raw': page(deflateRawSync(ARTICLE), HTML, { 'content-encoding': 'deflate' }),
  '/brotli': page(brotliCompressSync(ARTICLE), HTML, { 'content-encoding': 'br' }),
  '/not-gzip': page(ARTICLE, HTML, { 'content-encoding': 'gzip' }),
  '/unknown-encoding': page(ARTICLE, HTML, { 'content-encoding': 'zstd' }),
  '/bomb': (request, response) =>
    page(bomb(), 'text/plain', { 'content-encoding': 'gzip' })(request, response),
  '/endless': (_, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    pour(response, Buffer.alloc(65_536, 'lorem ipsum '));
  },
  '/endless-binary': (_, response) => {
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    pour(response, Buffer.alloc(65_536));
  },
  '/drip': (_, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    const timer = setInterval(() => response.write('.'), 10);
    response.on('close', () => clearInterval(timer));
  },
  '/silent': () => undefined,
  '/header': (_, response) => {
    response.socket?.write(`HTTP/1.1 200 OK\r\nx-long: ${'h'.repeat(1_000_000)}\r\n\r\n`);
  },
  '/cut': (_, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': '1000' });
    response.write('only this', () => response.socket?.destroy());
  },
  '/no-http': (_, response) => void response.socket?.end('220 mail.example.com ESMTP\r\n'),
  '/hang-up': (_, response) => void response.socket?.destroy(),
  '/image-as-html': page(Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), 'text/html'),
  '/image': page(Buffer.from('89504e470d0a1a0a', 'hex'), 'image/png'),
  '/empty': page('', HTML),
  '/no-content': (_, response) => void response.writeHead(204).end(),
  '/xml': page('<feed><title>Amoeba</title></feed>', 'application/atom+xml'),
  '/pdf': (request, response) => page(pdf(PAPER, 'On Amoebae'), 'application/pdf')(request, response),
  '/paper.PDF': (request, response) => page(pdf(PAPER), 'application/octet-stream')(request, response),
  '/pdf-as-html': (request, response) => page(pdf(PAPER), HTML)(request, response),
  '/pdf-as-text': (request, response) => page(pdf(PAPER), 'text/plain')(request, response),
  '/html-as-pdf': page(ARTICLE, 'application/pdf'),
  '/pdf-broken': page(`%PDF-1.7\n${'garbage '.repeat(1_000)}`, 'application/pdf'),
  '/pdf-cut': (request, response) => page(pdf(PAPER).subarray(0, 300), 'application/pdf')(request, response),
  '/pdf-empty': (request, response) => page(pdf(['']), 'application/pdf')(request, response),
  '/pdf-locked': (request, response) => page(lockedPdf(), 'application/pdf')(request, response),
  // A million operators on each of ten thousand pages, all of them the same stream.
  '/pdf-endless': (request, response) => page(endlessPdf(), 'application/pdf')(request, response),
  '/shift-jis': page(Buffer.from('3c703e838b8367838a3c2f703e', 'hex'), 'text/html; charset=Shift_JIS'),
  '/gb18030': page(Buffer.from('3c703ed1dbb3e63c2f703e', 'hex'), 'text/html; charset=gb18030'),
  '/xml-encoding': page(
    Buffer.from('<?xml version="1.0" encoding="iso-8859-2"?><p>\xe8\xe1p</p>', 'latin1'),
    'application/xhtml+xml',
  ),
  '/bomb-brotli': (request, response) =>
    page(brotliBomb(), 'text/plain', { 'content-encoding': 'br' })(request, response),
  '/bomb-in-bomb': (request, response) =>
    page(gzipSync(bomb()), 'text/html', { 'content-encoding': 'gzip, gzip' })(request, response),
  '/latin1': page(Buffer.from('<p>caf\xe9 in Malm\xf6</p>', 'latin1'), 'text/html; charset=iso-8859-1'),
  '/latin1-unlabelled': page(Buffer.from('<p>caf\xe9</p>', 'latin1'), 'text/html'),
  '/latin1-as-utf8': page(Buffer.from('<p>caf\xe9 au lait</p>', 'latin1'), HTML),
  '/meta-charset': page(
    Buffer.from('<meta charset="windows-1251"><p>\xec\xe8\xf0</p>', 'latin1'),
    'text/html',
  ),
  '/utf16': page(Buffer.from('\ufeff<p>wide words</p>', 'utf16le'), 'text/html'),
  '/bad-charset': page('<p>words</p>', 'text/html; charset=nonsense'),
  '/nested': page('<p>the surface</p>' + '<div>'.repeat(100_000) + 'the core' + '</div>'.repeat(100_000)),
  '/one-line': page(`<p>${'x'.repeat(3_000_000)}</p>`),
  '/loop': redirect('/loop'),
  '/ping': redirect('/pong'),
  '/pong': redirect('/ping', 307),
  '/no-location': (_, response) => void response.writeHead(302).end(),
  '/hop1': redirect('/hop2', 301),
  '/hop2': redirect('http://other.example.com/hop3', 303),
  '/hop3': redirect(`https://${TLS_NAME}/hop4`, 307),
  '/hop4': redirect('http://example.com/hop5', 308),
  '/hop5': redirect('/article#part', 302),
};
