/**
 * The text of one PDF, in a thread of its own: parsing takes its time, and the parser is not bounded in what it allocates.
 * `workerData`: `{ bytes, maxPages, maxChars, maxBlockBytes }`. It posts `{ title, text, truncated }` or `{ failure }`.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { getDocumentProxy } from 'unpdf';

const { bytes, maxPages, maxChars, maxBlockBytes } = workerData;

/** Buffers are outside the heap, whose limit does not count them; a few bytes of a stream can unpack to any length. */
globalThis.Uint8Array = new Proxy(Uint8Array, {
  construct(target, args, newTarget) {
    if (typeof args[0] === 'number' && args[0] > maxBlockBytes) throw new RangeError('too large');
    return Reflect.construct(target, args, newTarget);
  },
});

async function read() {
  const document = await getDocumentProxy(bytes, {
    isEvalSupported: false,
    disableFontFace: true,
    useSystemFonts: false,
    stopAtErrors: false,
    verbosity: 0,
  });
  const { info } = await document.getMetadata().catch(() => ({ info: {} }));
  const pages = Math.min(document.numPages, maxPages);
  const texts = [];
  let chars = 0;
  let number = 1;
  for (; number <= pages && chars <= maxChars; number += 1) {
    const text = await pageText(document, number);
    chars += text.length;
    texts.push(text);
  }
  const truncated = number <= document.numPages;
  return { title: typeof info.Title === 'string' ? info.Title : '', text: texts.join('\n\n'), truncated };
}

/** A page that is broken has no text; the others may have. */
async function pageText(document, number) {
  try {
    const page = await document.getPage(number);
    const { items } = await page.getTextContent();
    page.cleanup();
    return items.map((item) => ('str' in item ? `${item.str}${item.hasEOL ? '\n' : ''}` : '')).join('');
  } catch {
    return '';
  }
}

read().then(
  (read) => parentPort.postMessage(read),
  (error) => parentPort.postMessage({ failure: error?.name === 'PasswordException' ? 'password' : 'broken' }),
);
