import { Agent, buildConnector, request, type Dispatcher } from 'undici';
import { checkUrl } from './address-guard.js';
import { type Bytes, decodeText, decompress, readBounded } from './body.js';
import { checkType, contentType, mayBePdf, readContent } from './content.js';
import { guardedConnector, resolveBySystem, type Resolve } from './guarded-connector.js';
import { explain } from './http-failure.js';
import { makePage } from './page.js';
import { PageFailure, type Page, type PageReader } from './page-reader.port.js';
import { PdfReader } from './pdf-text.js';
import { type RobotsAnswer, RobotsCache } from './robots-cache.js';
import { ROBOTS_MAX_BYTES } from './robots.js';

export interface HttpPageReaderOptions {
  /** Sent as `User-Agent`; its first word is the name that a robots.txt may know. */
  readonly userAgent: string;
  /** Whether a site's robots.txt is asked first, and what it says is kept to. Default false. */
  readonly respectRobots?: boolean;
  /** The time, for how long a robots.txt is believed. Default: the system's. */
  readonly now?: () => number;
  /** For one read with all its redirects. Default 15,000. */
  readonly timeoutMs?: number;
  /** Of one body, both as sent and unpacked; what is beyond is left. Default 5 MB. */
  readonly maxBodyBytes?: number;
  /** Of one PDF; a larger one is not read. Default 20 MB. */
  readonly maxPdfBytes?: number;
  /** Of one response's headers. Default 32 KiB. */
  readonly maxHeaderBytes?: number;
  /** Names to addresses. Default: the system's resolver. */
  readonly resolve?: Resolve;
  /** Opens a socket to an address that was checked. Default: the network. */
  readonly dial?: buildConnector.connector;
}

type Response = Dispatcher.ResponseData;

const MAX_REDIRECTS = 5;
const ACCEPT =
  'text/html, application/xhtml+xml, text/markdown, text/plain;q=0.9, application/pdf;q=0.8, ' +
  'application/json;q=0.8, text/*;q=0.5';

/**
 * Reads pages of the public web: no cookies, no credentials, no referrer, one new connection for each request, and only
 * to addresses that the guard lets pass, redirects included.
 */
export class HttpPageReader implements PageReader {
  private readonly agent: Agent;
  private readonly timeoutMs: number;
  private readonly maxBodyBytes: number;
  private readonly maxPdfBytes: number;
  private readonly pdf = new PdfReader();
  private readonly robots: RobotsCache | null;

  constructor(private readonly options: HttpPageReaderOptions) {
    this.timeoutMs = options.timeoutMs ?? 15_000;
    this.maxBodyBytes = options.maxBodyBytes ?? 5_000_000;
    this.maxPdfBytes = options.maxPdfBytes ?? 20_000_000;
    const ask = (site: URL, signal: AbortSignal) => this.askRobots(site, signal);
    this.robots = options.respectRobots
      ? new RobotsCache(options.userAgent, ask, options.now ?? Date.now)
      : null;
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
      await this.robots?.check(url, signal);
      const response = await this.get(url, signal);
      const location = redirectOf(response);
      if (location === null) return await this.toPage(url, response, signal);
      discard(response);
      url = checkUrl(location, url);
    }
    throw new PageFailure('refused', `The address redirects more than ${MAX_REDIRECTS} times.`);
  }

  /** A robots.txt that leads nowhere we may go is none. */
  private async askRobots(site: URL, signal: AbortSignal): Promise<RobotsAnswer> {
    let url = site;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
      const response = await this.get(url, signal);
      const { statusCode: status } = response;
      const location = redirectOf(response);
      if (location === null && isGood(response)) {
        return { status, text: decodeText(await this.body(response, ROBOTS_MAX_BYTES), 'utf-8') };
      }
      discard(response);
      if (location === null) return { status, text: null };
      try {
        url = checkUrl(location, url);
      } catch {
        break;
      }
    }
    return { status: 404, text: null };
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

  private async toPage(url: URL, response: Response, signal: AbortSignal): Promise<Page> {
    const type = contentType(header(response, 'content-type'));
    try {
      if (!isGood(response))
        throw new PageFailure('failed', `The server answered with status ${response.statusCode}.`);
      checkType(type, url);
    } catch (error) {
      discard(response);
      throw error;
    }
    const limit = mayBePdf(type.type, url) ? this.maxPdfBytes : this.maxBodyBytes;
    const body = await this.body(response, limit);
    const { title, text, truncated } = await readContent(body, type, url, this.pdf, signal);
    const fallback = `${url.host}${url.pathname}`;
    const page = makePage({ url: url.href, title: title.trim() || fallback, text, truncated });
    if (page.text === '') throw new PageFailure('failed', 'The page holds no text.');
    return page;
  }

  private async body(response: Response, limit: number): Promise<Bytes> {
    const sent = await readBounded(response.body, limit);
    return decompress(sent, header(response, 'content-encoding'), limit);
  }
}

function isGood({ statusCode }: Response): boolean {
  return statusCode >= 200 && statusCode <= 299;
}

function redirectOf(response: Response): string | null {
  const location = header(response, 'location');
  return [301, 302, 303, 307, 308].includes(response.statusCode) && location !== '' ? location : null;
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
