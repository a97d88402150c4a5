import { Agent, buildConnector, request, type Dispatcher } from 'undici';
import { checkUrl } from './address-guard.js';
import { decodeText, decompress, readBounded } from './body.js';
import { guardedConnector, resolveBySystem, type Resolve } from './guarded-connector.js';
import { firstHeading, htmlToText } from './html-text.js';
import { explain } from './http-failure.js';
import { makePage } from './page.js';
import { PageFailure, type Page, type PageReader } from './page-reader.port.js';

export interface HttpPageReaderOptions {
  /** Sent as `User-Agent`. */
  readonly userAgent: string;
  /** For one read with all its redirects. Default 15,000. */
  readonly timeoutMs?: number;
  /** Of one body, both as sent and unpacked; what is beyond is left. Default 5 MB. */
  readonly maxBodyBytes?: number;
  /** Of one response's headers. Default 32 KiB. */
  readonly maxHeaderBytes?: number;
  /** Names to addresses. Default: the system's resolver. */
  readonly resolve?: Resolve;
  /** Opens a socket to an address that was checked. Default: the network. */
  readonly dial?: buildConnector.connector;
}

type Response = Dispatcher.ResponseData;

const MAX_REDIRECTS = 5;
const HTML = ['text/html', 'application/xhtml+xml'];
const ACCEPT =
  'text/html, application/xhtml+xml, text/markdown, text/plain;q=0.9, application/json;q=0.8, text/*;q=0.5';

/**
 * Reads pages of the public web: no cookies, no credentials, no referrer, one new connection for each request, and only
 * to addresses that the guard lets pass, redirects included.
 */
export class HttpPageReader implements PageReader {
  private readonly agent: Agent;
  private readonly timeoutMs: number;
  private readonly maxBodyBytes: number;

  constructor(private readonly options: HttpPageReaderOptions) {
    this.timeoutMs = options.timeoutMs ?? 15_000;
    this.maxBodyBytes = options.maxBodyBytes ?? 5_000_000;
    const dial = options.dial ?? buildConnector({ timeout: 5_000 });
    this.agent = new Agent({
      connect: guardedConnector(options.resolve ?? resolveBySystem, dial),
      // No connection outlives its request, so that every request dials an address that was just checked.
      pipelining: 0,
      maxHeaderSize: options.maxHeaderBytes ?? 32_768,
      headersTimeout: this.timeoutMs,
      bodyTimeout: this.timeoutMs,
    });
  }

  async read(address: string, signal: AbortSignal): Promise<Page> {
    signal.throwIfAborted();
    const deadline = AbortSignal.timeout(this.timeoutMs);
    try {
      return await this.follow(checkUrl(address), AbortSignal.any([signal, deadline]));
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof PageFailure) throw error;
      const why = deadline.aborted
        ? `The page took longer than ${this.timeoutMs / 1_000} s.`
        : explain(error);
      throw new PageFailure('failed', why);
    }
  }

  /** The web has no state to ask about. */
  async ping(): Promise<void> {}

  close(): Promise<void> {
    return this.agent.destroyed ? Promise.resolve() : this.agent.destroy();
  }

  private async follow(start: URL, signal: AbortSignal): Promise<Page> {
    let url = start;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
      const response = await this.get(url, signal);
      const location = redirectOf(response);
      if (location === null) return await this.toPage(url, response);
      discard(response);
      url = checkUrl(location, url);
    }
    throw new PageFailure('refused', `The address redirects more than ${MAX_REDIRECTS} times.`);
  }

  private get(url: URL, signal: AbortSignal): Promise<Response> {
    return request(url, {
      dispatcher: this.agent,
      signal,
      headers: {
        'user-agent': this.options.userAgent,
        accept: ACCEPT,
        'accept-encoding': 'gzip, deflate, br',
      },
    });
  }

  private async toPage(url: URL, response: Response): Promise<Page> {
    const { type, charset } = contentType(response);
    if (response.statusCode < 200 || response.statusCode > 299) {
      discard(response);
      throw new PageFailure('failed', `The server answered with status ${response.statusCode}.`);
    }
    if (type !== null && !isReadable(type)) {
      discard(response);
      throw new PageFailure('failed', `The page is of type ${type}, which is not text.`);
    }
    const sent = await readBounded(response.body, this.maxBodyBytes);
    const body = await decompress(sent, header(response, 'content-encoding'), this.maxBodyBytes);
    const source = decodeText(body, charset);
    if (source.slice(0, 4_096).includes('\0'))
      throw new PageFailure('failed', 'The page is binary data, not text.');
    const isHtml = type === null ? /^\s*</.test(source) : HTML.includes(type);
    const read = isHtml
      ? htmlToText(source, url.href)
      : { title: firstHeading(source), text: source, truncated: false };
    const page = makePage({
      url: url.href,
      title: read.title.trim() || `${url.host}${url.pathname}`,
      text: read.text,
      truncated: read.truncated || body.cut,
    });
    if (page.text === '') throw new PageFailure('failed', 'The page holds no text.');
    return page;
  }
}

function redirectOf(response: Response): string | null {
  const location = header(response, 'location');
  return [301, 302, 303, 307, 308].includes(response.statusCode) && location !== '' ? location : null;
}

function contentType(response: Response): { type: string | null; charset: string | null } {
  const value = header(response, 'content-type');
  const type = /^\s*([\w!#$&^.+-]+\/[\w!#$&^.+-]+)/.exec(value)?.[1]?.toLowerCase().slice(0, 100) ?? null;
  return { type, charset: /;\s*charset\s*=\s*"?([\w:.-]+)/i.exec(value)?.[1] ?? null };
}

function isReadable(type: string): boolean {
  return (
    type.startsWith('text/') || type === 'application/xhtml+xml' || /^application\/(?:.+\+)?json$/.test(type)
  );
}

/** A header's value; the first when the server repeats it. */
function header(response: Response, name: string): string {
  const value = response.headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? '';
}

/** Drops the connection rather than reading what nobody wants. */
function discard(response: Response): void {
  response.body.on('error', () => undefined).destroy();
}
