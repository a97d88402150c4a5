import { createHash } from 'node:crypto';
import { ChromaClient, ChromaConnectionError, ChromaNotFoundError, type Collection } from 'chromadb';
import { type Clock } from '../../domain/clock.js';
import { EuglenaError } from '../../domain/errors.js';
import { type Passage } from '../../domain/situation.js';
import { type AgentMemory, type RecalledPassage } from './agent-memory.port.js';
import { type TextEmbedding } from './text-embedding.js';

export interface ChromaServer {
  /** Scheme, host and port of the server. A name and password in it are sent as HTTP basic authentication. */
  readonly url: string;
  /** Name of the collection that holds every task's passages: at least 3 characters. */
  readonly collection?: string;
}

const COLLECTION = 'euglena-passages';
/** For one step with all that it needs: embedding, opening the collection, the request itself. In ms. */
const STEP_BUDGET_MS = 2_000;
/** Passages that one request stores. A page has fewer; the server itself takes some thousands. */
const PASSAGES_PER_STEP = 200;
/** Tasks that one request forgets: each costs the server about 10 ms. */
const TASKS_PER_STEP = 20;
/** How much of a need is read, in characters. */
const NEED_MAX_CHARS = 20_000;
const WORD = /[\p{L}\p{N}]/u;

/**
 * Passages in one ChromaDB collection, found by the direction of their embedding (cosine). A passage's id is a hash of
 * task, source and text, so that storing it again changes nothing. A passage without a letter or digit is not kept: no
 * need could find it.
 */
export class ChromaAgentMemory implements AgentMemory {
  private readonly calls = new Set<AbortController>();
  private readonly collection: string;
  private readonly address: { host: string; port: number; ssl: boolean; headers?: Record<string, string> };
  private readonly place: string;
  private collectionId: string | null = null;

  constructor(
    server: ChromaServer,
    private readonly embedding: TextEmbedding,
    private readonly clock: Clock,
  ) {
    this.collection = server.collection ?? COLLECTION;
    this.address = addressOf(new URL(server.url));
    this.place = `ChromaDB at ${new URL(server.url).host}`;
  }

  async remember(correlationId: string, passages: readonly Passage[]): Promise<void> {
    const byId = new Map<string, Passage>();
    for (const { sourceId, text: given } of passages) {
      const text = Buffer.from(given).toString(); // The server refuses half of a surrogate pair.
      if (WORD.test(text)) byId.set(idOf(correlationId, sourceId, text), { sourceId, text });
    }
    for (const entries of slices([...byId], PASSAGES_PER_STEP)) {
      const documents = entries.map(([, { text }]) => text);
      await this.step(async (signal) => {
        const record = {
          ids: entries.map(([id]) => id),
          embeddings: await this.embedding.embed(documents, signal),
          documents,
          metadatas: entries.map(([, { sourceId }]) => ({ task: correlationId, source: sourceId })),
        };
        await this.inCollection(signal, (collection) => collection.upsert(record));
      });
    }
  }

  async recall(correlationId: string, need: string, limit: number): Promise<readonly Passage[]> {
    const found = await this.recallAmong([correlationId], need, limit);
    return found.map(({ sourceId, text }) => ({ sourceId, text }));
  }

  async recallAmong(
    correlationIds: readonly string[],
    need: string,
    limit: number,
  ): Promise<readonly RecalledPassage[]> {
    const text = Buffer.from(need.slice(0, NEED_MAX_CHARS)).toString();
    if (limit < 1 || correlationIds.length === 0 || !WORD.test(text)) return [];
    return this.step(async (signal) => {
      const queryEmbeddings = await this.embedding.embed([text], signal);
      const found = await this.inCollection(signal, (collection) =>
        collection.query<{ task: string; source: string }>({
          queryEmbeddings,
          nResults: limit,
          where: { task: { $in: [...correlationIds] } },
          include: ['documents', 'metadatas'],
        }),
      );
      return (found.rows()[0] ?? []).map(({ document, metadata }) => ({
        correlationId: metadata?.task ?? '',
        sourceId: metadata?.source ?? '',
        text: document ?? '',
      }));
    });
  }

  async forget(correlationIds: readonly string[]): Promise<void> {
    for (const tasks of slices(correlationIds, TASKS_PER_STEP)) {
      await this.step((signal) =>
        this.inCollection(signal, (collection) => collection.delete({ where: { task: { $in: tasks } } })),
      );
    }
  }

  async ping(): Promise<void> {
    await this.step((signal) => this.client(signal).heartbeat());
  }

  async close(): Promise<void> {
    this.calls.forEach((call) => call.abort());
    await this.embedding.close();
  }

  /** Runs one step within its budget. What the vendor throws becomes the port's error, without the vendor's words. */
  private async step<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const call = new AbortController();
    this.calls.add(call);
    void this.clock.sleep(STEP_BUDGET_MS, call.signal).then(
      () => call.abort(),
      () => undefined,
    );
    try {
      return await work(call.signal);
    } catch (error) {
      if (call.signal.aborted)
        throw this.unavailable(`gave no answer within ${STEP_BUDGET_MS / 1_000} s`, error);
      throw error instanceof EuglenaError ? error : this.explained(error);
    } finally {
      this.calls.delete(call);
      call.abort(); // Ends the timer.
    }
  }

  /** Uses the collection; makes it anew, once, if the server lost it. */
  private async inCollection<T>(
    signal: AbortSignal,
    use: (collection: Collection) => Promise<T>,
  ): Promise<T> {
    const client = this.client(signal);
    const known = this.collectionId;
    if (known !== null) {
      try {
        return await use(client.collection(known));
      } catch (error) {
        if (!(error instanceof ChromaNotFoundError)) throw error;
      }
    }
    this.collectionId = await this.openCollection(client);
    return use(client.collection(this.collectionId));
  }

  private async openCollection(client: ChromaClient): Promise<string> {
    const { id, metadata } = await client.getOrCreateCollection({
      name: this.collection,
      embeddingFunction: null,
      configuration: { hnsw: { space: 'cosine' } },
      metadata: { embedding: this.embedding.name },
    });
    const madeWith = metadata?.['embedding'];
    if (madeWith !== undefined && madeWith !== this.embedding.name) throw this.mismatch();
    return id;
  }

  /** The client knows no signal for a single request, so every step has its own; it costs nothing but the object. */
  private client(signal: AbortSignal): ChromaClient {
    return new ChromaClient({ ...this.address, fetchOptions: { signal } });
  }

  private explained(error: unknown): EuglenaError {
    if (error instanceof Error && /embedding with dimension/.test(error.message)) return this.mismatch();
    if (error instanceof ChromaConnectionError) return this.unavailable('cannot be reached', error);
    return this.unavailable(
      error instanceof Error ? `cannot be used (${error.name})` : 'cannot be used',
      error,
    );
  }

  private unavailable(what: string, cause: unknown): EuglenaError {
    return new EuglenaError('engine_unavailable', `${this.place} ${what}.`, { cause });
  }

  private mismatch(): EuglenaError {
    return new EuglenaError(
      'engine_unavailable',
      `ChromaDB's collection ${this.collection} was made with other embeddings than ${this.embedding.name}; ` +
        'delete it or set the EMBEDDING_MODEL it was made with.',
    );
  }
}

function addressOf(url: URL): ChromaAgentMemory['address'] {
  const ssl = url.protocol === 'https:';
  const port = url.port === '' ? (ssl ? 443 : 80) : Number(url.port);
  const address = { host: url.hostname, port, ssl };
  if (url.username === '') return address;
  const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return {
    ...address,
    headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
  };
}

function idOf(...parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

function slices<T>(all: readonly T[], size: number): T[][] {
  const count = Math.ceil(all.length / size);
  return Array.from({ length: count }, (_, i) => all.slice(i * size, (i + 1) * size));
}
