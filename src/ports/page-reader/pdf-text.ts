import { Worker } from 'node:worker_threads';
import { MAX_TEXT_CHARS } from './page.js';
import { PageFailure } from './page-reader.port.js';

/** Pages that are read of one document. */
const MAX_PAGES = 300;
/** The parser's heap, and the largest block beside it, such as one unpacked stream. */
const MAX_HEAP_MB = 256;
const MAX_BLOCK_BYTES = 16 * 1024 * 1024;
/** Documents that this process parses at the same time; others wait. */
const AT_ONCE = 2;
const WORKER = new URL('./pdf-worker.js', import.meta.url);

export interface PdfText {
  /** '' when the document names none. */
  readonly title: string;
  readonly text: string;
  /** Whether pages were left out. */
  readonly truncated: boolean;
}

type Message = PdfText | { readonly failure: 'password' | 'broken' };

/**
 * Reads PDFs, each in a thread that is ended when the signal aborts: the event loop goes on, and a document that is made
 * to keep a parser busy costs its own read only.
 */
export class PdfReader {
  private readonly waiting = new Set<() => void>();
  private running = 0;

  /** @throws PageFailure `failed`, or the signal's reason */
  async read(bytes: Uint8Array, signal: AbortSignal): Promise<PdfText> {
    await this.turn(signal);
    try {
      const message = await parse(Uint8Array.from(bytes), signal);
      if (!('failure' in message)) return { ...message, text: joinLines(message.text) };
      const why = message.failure === 'password' ? 'is protected by a password' : 'cannot be read';
      throw new PageFailure('failed', `The PDF document ${why}.`);
    } finally {
      this.nextTurn();
    }
  }

  private async turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.running < AT_ONCE) {
      this.running += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const abort = () => {
        this.waiting.delete(start);
        reject(signal.reason as Error);
      };
      const start = () => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      this.waiting.add(start);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  /** The turn goes to who waits longest, else it is free. */
  private nextTurn(): void {
    const [next] = this.waiting;
    if (next === undefined) {
      this.running -= 1;
      return;
    }
    this.waiting.delete(next);
    next();
  }
}

async function parse(bytes: Uint8Array, signal: AbortSignal): Promise<Message> {
  const limits = { maxPages: MAX_PAGES, maxChars: MAX_TEXT_CHARS, maxBlockBytes: MAX_BLOCK_BYTES };
  const worker = new Worker(WORKER, {
    workerData: { bytes, ...limits },
    transferList: [bytes.buffer as ArrayBuffer],
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    execArgv: [],
    env: {},
    stdout: true,
    stderr: true,
  });
  let abort = () => {};
  try {
    return await new Promise<Message>((resolve, reject) => {
      abort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      worker.once('message', resolve);
      worker.once('error', () => resolve({ failure: 'broken' }));
      worker.once('exit', () => resolve({ failure: 'broken' }));
    });
  } finally {
    signal.removeEventListener('abort', abort);
    await worker.terminate();
  }
}

/** Undoes what breaking lines did to words. */
function joinLines(text: string): string {
  return text.replace(/(\p{Ll})-\n(?=\p{Ll})/gu, '$1').replace(/[ \t]+$/gm, '');
}
