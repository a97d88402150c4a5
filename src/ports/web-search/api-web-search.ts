import { Logger } from '@nestjs/common';
import { Agent, request } from 'undici';
import { type SearchHit } from '../../domain/situation.js';
import { readBounded } from '../page-reader/body.js';
import { hitsOf } from './search-answer.js';
import { meaningOf, type SearchApi } from './search-api.js';
import { SearchFailure, type WebSearch } from './web-search.port.js';

export interface ApiWebSearchOptions {
  /** For one search, in ms. Default 10,000. */
  readonly timeoutMs?: number;
  /** Of one answer. Default 1 MB; a longer one cannot be read. */
  readonly maxAnswerBytes?: number;
}

/**
 * Searches through a provider's HTTP API. One request for each search: no redirect is followed, which could carry the key
 * away, and nothing is tried again, as each try may cost. What fails is said in our words, never in the provider's.
 */
export class ApiWebSearch implements WebSearch {
  private readonly logger = new Logger('WebSearch');
  private readonly agent = new Agent({ connect: { timeout: 5_000 }, maxHeaderSize: 32_768 });
  private readonly timeoutMs: number;
  private readonly maxAnswerBytes: number;

  constructor(
    private readonly api: SearchApi,
    options: ApiWebSearchOptions = {},
  ) {
    this.timeoutMs = options.timeoutMs ?? 10_000;
    this.maxAnswerBytes = options.maxAnswerBytes ?? 1_000_000;
  }

  async search(query: string, limit: number, signal: AbortSignal): Promise<readonly SearchHit[]> {
    signal.throwIfAborted();
    const asked = this.shortened(query);
    if (asked === '' || limit < 1) return [];
    try {
      // More than are wanted: some will be the same document.
      const answer = await this.ask(asked, limit * 2, signal);
      return hitsOf(this.api.read(answer), limit);
    } catch (error) {
      signal.throwIfAborted();
      const failure =
        error instanceof SearchFailure ? error : new SearchFailure('The search could not be reached.');
      this.logger.warn(`${this.api.name}: ${failure.message}`);
      throw failure;
    }
  }

  /** Asking costs, and a search that is down costs a task one observation: there is nothing to wait for. */
  async ping(): Promise<void> {}

  close(): Promise<void> {
    return this.agent.destroyed ? Promise.resolve() : this.agent.destroy();
  }

  private async ask(query: string, limit: number, signal: AbortSignal): Promise<unknown> {
    const { url, ...rest } = this.api.request(query, limit);
    const deadline = AbortSignal.timeout(this.timeoutMs);
    try {
      const response = await request(url, {
        ...rest,
        dispatcher: this.agent,
        signal: AbortSignal.any([signal, deadline]),
      });
      if (response.statusCode !== 200) {
        response.body.on('error', () => undefined).destroy();
        throw new SearchFailure(this.api.explain?.(response.statusCode) ?? meaningOf(response.statusCode));
      }
      return readJson(await readBounded(response.body, this.maxAnswerBytes));
    } catch (error) {
      if (deadline.aborted) throw new SearchFailure('The search gave no answer in time.', { cause: error });
      throw error;
    }
  }

  /** What the provider takes of a query: one line, whole words where it can. */
  private shortened(query: string): string {
    const { chars, words } = this.api.queryLimit;
    const clean = Buffer.from(query.slice(0, chars * 4)).toString();
    const line = clean
      .replace(/[\s\p{Cc}]+/gu, ' ')
      .trim()
      .split(' ')
      .slice(0, words)
      .join(' ');
    if (line.length <= chars) return line;
    return line
      .slice(0, chars + 1)
      .replace(/ \S*$/, '')
      .slice(0, chars)
      .replace(/[\uD800-\uDBFF]$/, '');
  }
}

function readJson({ bytes, cut }: { bytes: Buffer; cut: boolean }): unknown {
  try {
    if (!cut) return JSON.parse(bytes.toString());
  } catch {
    // As unreadable as an answer that is too long.
  }
  throw new SearchFailure('The search gave an answer that cannot be read.');
}
