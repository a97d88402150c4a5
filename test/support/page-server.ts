import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, type Server } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { buildConnector } from 'undici';
import { selfSigned } from './certificate.js';

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

const ARTICLE =
  '<title>Amoeba</title><article><h1>Amoeba</h1><p>It moves with <b>pseudopods</b>.</p></article>';
/** 200 MB when unpacked, 200 KB as sent. */
const bomb = () => Buffer.concat(Array.from({ length: 200 }, () => gzipSync(Buffer.alloc(1_000_000, 'a '))));

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
  '/no-location': (_, response) => void response.writeHead(302).end(),
  '/hop1': redirect('/hop2', 301),
  '/hop2': redirect('http://other.example.com/hop3', 303),
  '/hop3': redirect(`https://${TLS_NAME}/hop4`, 307),
  '/hop4': redirect('http://example.com/hop5', 308),
  '/hop5': redirect('/article#part', 302),
};
