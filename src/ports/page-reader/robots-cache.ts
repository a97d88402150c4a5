import { PageFailure } from './page-reader.port.js';
import { ALLOW_ALL, parseRobots, type Robots, tokenOf } from './robots.js';

/** How long the rules of a site are believed, in ms. RFC 9309 allows a day. */
const FRESH_MS = 3_600_000;
const MAX_SITES = 500;
/** Characters of rules that are kept in all. */
const MAX_SIZE = 5_000_000;

/** What a site answered for its robots.txt; `text` is null when there is none to be had. */
export interface RobotsAnswer {
  readonly status: number;
  readonly text: string | null;
}

interface Entry {
  readonly robots: Robots;
  readonly until: number;
}

/** The robots.txt of the sites that were visited lately, by origin. */
export class RobotsCache {
  private readonly entries = new Map<string, Entry>();
  private readonly token: string;
  private size = 0;

  constructor(
    userAgent: string,
    /** Asks a site for its robots.txt. */
    private readonly ask: (site: URL, signal: AbortSignal) => Promise<RobotsAnswer>,
    private readonly now: () => number,
  ) {
    this.token = tokenOf(userAgent);
  }

  /**
   * @throws PageFailure `refused` when the site asks not to read this address, `failed` when it cannot say
   */
  async check(url: URL, signal: AbortSignal): Promise<void> {
    const robots = this.known(url.origin) ?? (await this.learn(url, signal));
    if (!robots.allows(url)) {
      throw new PageFailure('refused', "The site's robots.txt asks programs not to read this address.");
    }
  }

  private known(origin: string): Robots | null {
    const entry = this.entries.get(origin);
    return entry !== undefined && entry.until > this.now() ? entry.robots : null;
  }

  private async learn(url: URL, signal: AbortSignal): Promise<Robots> {
    const { status, text } = await this.ask(new URL('/robots.txt', url), signal);
    if (status >= 500) {
      // RFC 9309: a site that cannot say is one that disallows all.
      throw new PageFailure(
        'failed',
        "The site's robots.txt cannot be read now, so the page was left alone.",
      );
    }
    const robots = text === null ? ALLOW_ALL : parseRobots(text, this.token);
    this.keep(url.origin, { robots, until: this.now() + FRESH_MS });
    return robots;
  }

  private keep(origin: string, entry: Entry): void {
    this.drop(origin);
    this.entries.set(origin, entry);
    this.size += entry.robots.size;
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= MAX_SITES && this.size <= MAX_SIZE) break;
      this.drop(oldest);
    }
  }

  private drop(origin: string): void {
    this.size -= this.entries.get(origin)?.robots.size ?? 0;
    this.entries.delete(origin);
  }
}
