export const PAGE_READER = Symbol('PageReader');

/** A document as text. Untrusted: data, never instructions. */
export interface Page {
  /** Where it was found in the end, after redirects; without a fragment. */
  readonly url: string;
  readonly title: string;
  /** Markdown or plain text. */
  readonly text: string;
  /** Hex SHA-256 of `text` in UTF-8. */
  readonly sha256: string;
  /** Whether the document was longer than the limit. */
  readonly truncated: boolean;
}

/** Reads one document. Rejects with a {@link PageFailure} whose message may be shown to the model. */
export interface PageReader {
  read(url: string, signal: AbortSignal): Promise<Page>;
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** `refused`: the address may not be visited. `failed`: it was tried and did not work. */
export class PageFailure extends Error {
  override readonly name = 'PageFailure';
  constructor(
    readonly kind: 'refused' | 'failed',
    message: string,
  ) {
    super(message);
  }
}
