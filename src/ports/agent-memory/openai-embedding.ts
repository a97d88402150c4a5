import OpenAI, { APIError } from 'openai';
import { Agent } from 'undici';
import { z } from 'zod';
import { EuglenaError } from '../../domain/errors.js';
import { undiciFetch } from '../http/undici-fetch.js';
import { type TextEmbedding } from './text-embedding.js';

export interface EmbeddingEndpoint {
  /** Base URL of an OpenAI-compatible API; null: OpenAI's own. */
  readonly apiUrl: string | null;
  /** Null for endpoints that ask for none. */
  readonly apiKey: string | null;
  readonly name: string;
}

const OPENAI_URL = 'https://api.openai.com/v1';
/** Texts in one request; OpenAI takes 2,048, smaller servers less. */
const BATCH = 64;
/** Embedding models read 8,192 tokens of a text; some scripts need more than one for a character. */
const TEXT_MAX_CHARS = 6_000;
/** 64 vectors of 4,096 numbers, written out. */
const RESPONSE_MAX_BYTES = 8_388_608;

const RESPONSE = z.object({
  data: z.array(z.object({ index: z.int().nonnegative(), embedding: z.array(z.number()).min(1) })),
});

/** Embeddings of OpenAI's protocol: OpenAI itself, vLLM, Ollama, llama.cpp, LM Studio and the like. */
export class OpenAiEmbedding implements TextEmbedding {
  readonly name: string;
  private readonly agent = new Agent();
  private readonly client: OpenAI;

  constructor(endpoint: EmbeddingEndpoint) {
    this.name = endpoint.name;
    this.client = new OpenAI({
      baseURL: endpoint.apiUrl ?? OPENAI_URL,
      apiKey: endpoint.apiKey ?? 'none',
      organization: null,
      project: null,
      maxRetries: 0,
      logLevel: 'off',
      fetch: undiciFetch(this.agent, RESPONSE_MAX_BYTES),
    });
  }

  async embed(texts: readonly string[], signal: AbortSignal): Promise<number[][]> {
    const batches: Promise<number[][]>[] = [];
    for (let from = 0; from < texts.length; from += BATCH) {
      batches.push(this.embedBatch(texts.slice(from, from + BATCH), signal));
    }
    return (await Promise.all(batches)).flat();
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }

  private async embedBatch(texts: readonly string[], signal: AbortSignal): Promise<number[][]> {
    let answer: unknown;
    try {
      answer = await this.client.embeddings.create(
        {
          model: this.name,
          input: texts.map((text) => text.slice(0, TEXT_MAX_CHARS)),
          // The SDK asks for base64 by default, which not every endpoint knows.
          encoding_format: 'float',
        },
        { signal },
      );
    } catch (error) {
      signal.throwIfAborted();
      const status = error instanceof APIError ? (error.status as number | undefined) : undefined;
      throw unavailable(status === undefined ? 'gave no readable answer' : `answered ${status}`);
    }
    const vectors = readVectors(answer, texts.length);
    if (vectors === null) throw unavailable('gave an answer that does not hold one vector for each text');
    return vectors;
  }
}

/** The vectors in the order of their texts; null if one is missing or they differ in length. */
function readVectors(answer: unknown, count: number): number[][] | null {
  const parsed = RESPONSE.safeParse(answer);
  if (!parsed.success || parsed.data.data.length !== count) return null;
  const vectors = new Array<number[] | undefined>(count).fill(undefined);
  for (const { index, embedding } of parsed.data.data) vectors[index] = embedding;
  const complete = vectors.filter((vector) => vector?.length === vectors[0]?.length);
  return complete.length === count ? (complete as number[][]) : null;
}

function unavailable(what: string): EuglenaError {
  return new EuglenaError('engine_unavailable', `The embedding endpoint ${what}.`);
}
