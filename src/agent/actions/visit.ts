import { type Observation, type Passage } from '../../domain/situation.js';
import { type Source } from '../../domain/task.js';
import { type Page, PageFailure, type PageReader } from '../../ports/page-reader/page-reader.port.js';
import { partThatMatters, split } from './passages.js';

/** Characters of a document that the model sees at once, and how many of them are its beginning. */
const OBSERVED = { total: 6_000, head: 2_000 };

/** What is to be read, and what the task knows. */
export interface Reading {
  readonly url: string;
  /** What the document is read for, in words: it decides what is shown of a long one. */
  readonly need: string;
  /** Those read so far. An address that was read before keeps its id. */
  readonly sources: readonly Source[];
}

export interface Visit {
  readonly observation: Observation;
  /** The whole document in pieces, for memory. */
  readonly passages: readonly Passage[];
}

/**
 * VISIT: the document's text as an observation, the part that matters if it is long, and the whole of it as passages. A page
 * that cannot be read is an observation, not a failure of the task.
 */
export async function visit(
  reader: PageReader,
  reading: Reading,
  now: () => number,
  signal: AbortSignal,
): Promise<Visit> {
  const { url, need, sources } = reading;
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
  const pieces = split(page.text);
  const text = page.text.length <= OBSERVED.total ? page.text : partThatMatters(pieces, need, OBSERVED);
  const passages = pieces.map((piece) => ({ sourceId: source.id, text: piece }));
  return { observation: { text, failed: false, source }, passages };
}
