/**
 * The address that a text is, by itself or on a page; null when it is none. `URL.canParse` is of no use: in Node.js 20 and 22 it
 * denies addresses with an ä or é once it was called some thousand times.
 */
export function parseUrl(text: string, page?: string | URL): URL | null {
  try {
    return new URL(text, page);
  } catch {
    return null;
  }
}
