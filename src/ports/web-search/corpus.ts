import { statSync } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { Logger } from '@nestjs/common';
import { EuglenaError } from '../../domain/errors.js';
import { decodeText } from '../page-reader/body.js';
import { firstHeading, htmlToText } from '../page-reader/html-text.js';
import { corpusFiles } from './corpus-files.js';
import { packageRoot } from './package-root.js';

export interface CorpusDocument {
  /** `corpus:<relative/path.md>`, each part percent-encoded. */
  readonly url: string;
  readonly title: string;
  readonly text: string;
  readonly truncated: boolean;
}

export interface CorpusLimits {
  readonly files: number;
  readonly fileBytes: number;
  readonly totalBytes: number;
}

const LIMITS: CorpusLimits = { files: 2_000, fileBytes: 2_000_000, totalBytes: 100_000_000 };
const OWN_DOCS = ['docs', 'README.md'];

/**
 * A folder of documents (Markdown, HTML, plain text), read once, when first asked for. Files that cannot be read or are beyond
 * the limits are left out with a line in the log.
 */
export class Corpus {
  private readonly logger = new Logger(Corpus.name);
  private readonly root: string;
  private readonly starts: readonly string[];
  private loading: Promise<ReadonlyMap<string, CorpusDocument>> | null = null;

  /**
   * @param folder Null for this package's own documentation.
   * @throws EuglenaError when the folder is given and is none
   */
  constructor(
    folder: string | null,
    private readonly limits: CorpusLimits = LIMITS,
  ) {
    if (folder !== null && statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new EuglenaError('engine_unavailable', `SEARCH_CORPUS_DIR: there is no folder ${folder}`);
    }
    this.root = folder ?? packageRoot();
    this.starts = folder === null ? OWN_DOCS : [''];
  }

  /** All documents, in the order of their paths. Rejects with the signal's reason when it aborts first. */
  async documents(signal: AbortSignal): Promise<readonly CorpusDocument[]> {
    return [...(await this.loaded(signal)).values()];
  }

  /** The document of an address; forgiving about encoding, leading slashes and a fragment. */
  async find(url: string, signal: AbortSignal): Promise<CorpusDocument | null> {
    const path = url
      .trim()
      .replace(/^corpus:\/*/i, '')
      .replace(/#.*$/s, '');
    const documents = await this.loaded(signal);
    return documents.get(addressOf(decoded(path))) ?? documents.get(addressOf(path)) ?? null;
  }

  async ping(): Promise<void> {
    await access(this.root).catch((cause: unknown) => {
      throw new EuglenaError('engine_unavailable', 'The folder of documents cannot be read', { cause });
    });
  }

  private async loaded(signal: AbortSignal): Promise<ReadonlyMap<string, CorpusDocument>> {
    signal.throwIfAborted();
    this.loading ??= this.load().catch((error: unknown) => {
      this.loading = null;
      throw error;
    });
    const abort = abortOf(signal);
    try {
      return await Promise.race([this.loading, abort.promise]);
    } finally {
      abort.stop();
    }
  }

  private async load(): Promise<ReadonlyMap<string, CorpusDocument>> {
    await this.ping();
    const documents = new Map<string, CorpusDocument>();
    const skip = (path: string, why = 'it cannot be read') => this.logger.warn(`left out ${path}: ${why}`);
    let total = 0;
    for (const start of this.starts) {
      for await (const { path, size } of corpusFiles(this.root, start, skip)) {
        if (size > this.limits.fileBytes) {
          skip(path, `it is larger than ${this.limits.fileBytes} bytes`);
          continue;
        }
        if (documents.size >= this.limits.files || total + size > this.limits.totalBytes) {
          skip(path, 'the corpus has reached its limit; the rest is left out too');
          return documents;
        }
        total += size;
        const bytes = await readFile(join(this.root, path)).catch(() => null);
        if (bytes === null) skip(path);
        else documents.set(addressOf(path), toDocument(path, bytes));
      }
    }
    this.logger.log(`${documents.size} documents, ${total} bytes`);
    return documents;
  }
}

function toDocument(path: string, bytes: Buffer): CorpusDocument {
  const url = addressOf(path);
  const source = decodeText({ bytes, cut: false }, null);
  const isHtml = /^\.html?$/i.test(extname(path));
  const read = isHtml
    ? htmlToText(source, url)
    : { title: firstHeading(source), text: source, truncated: false };
  return { ...read, url, title: read.title || (path.split('/').at(-1) ?? path) };
}

function addressOf(path: string): string {
  // A file name that is no valid Unicode has no percent-encoding.
  const parts = path.split('/').map((part) => encodeURIComponent(Buffer.from(part).toString()));
  return `corpus:${parts.join('/')}`;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function abortOf(signal: AbortSignal): { promise: Promise<never>; stop(): void } {
  let stop = () => {};
  const promise = new Promise<never>((_, reject) => {
    const abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    stop = () => signal.removeEventListener('abort', abort);
  });
  return { promise, stop };
}
