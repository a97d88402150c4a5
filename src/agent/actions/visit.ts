import { type Observation, type Passage } from '../../domain/situation.js';
import { type Source } from '../../domain/task.js';
import { type Page, PageFailure, type PageReader } from '../../ports/page-reader/page-reader.port.js';

const OBSERVED_CHARS = 6_000;
const PASSAGE_CHARS = 1_000;

export interface Visit {
  readonly observation: Observation;
  /** The whole document in pieces, for memory. */
  readonly passages: readonly Passage[];
}

/**
 * VISIT: the document's text as an observation, and the whole of it as passages. `sources` are those read so far: an
 * address that was read before keeps its id. A page that cannot be read is an observation, not a failure of the task.
 */
export async function visit(
  reader: PageReader,
  url: string,
  sources: readonly Source[],
  now: () => number,
  signal: AbortSignal,
): Promise<Visit> {
  let page: Page;
  try {
    page = await reader.read(url, signal);
  } catch (error) {
    signal.throwIfAborted();
    const text = error instanceof PageFailure ? error.message : 'The page could not be read.';
    return { observation: { text, failed: true }, passages: [] };
  }
  const known = sources.find((source) => source.url === page.url);
  const source: Source = {
    id: known?.id ?? `s${sources.length + 1}`,
    url: page.url,
    title: page.title,
    retrievedAt: now(),
    sha256: page.sha256,
  };
  const passages = split(page.text).map((text) => ({ sourceId: source.id, text }));
  return { observation: { text: page.text.slice(0, OBSERVED_CHARS), failed: false, source }, passages };
}

/** Pieces of about 1,000 characters that end with a paragraph where they can. */
export function split(text: string): string[] {
  const pieces: string[] = [];
  let piece = '';
  for (const paragraph of text.split(/\n\s*\n/)) {
    if (piece !== '' && piece.length + paragraph.length > PASSAGE_CHARS) {
      pieces.push(piece);
      piece = '';
    }
    piece = piece === '' ? paragraph : `${piece}\n\n${paragraph}`;
    while (piece.length > 2 * PASSAGE_CHARS) {
      pieces.push(piece.slice(0, PASSAGE_CHARS));
      piece = piece.slice(PASSAGE_CHARS);
    }
  }
  if (piece.trim() !== '') pieces.push(piece);
  return pieces;
}
