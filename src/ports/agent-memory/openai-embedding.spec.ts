import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { OpenAiEmbedding } from './openai-embedding.js';

interface Asked {
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: { readonly model: string; readonly input: string[]; readonly encoding_format: string };
}

let stop: () => Promise<void> = async () => {};
afterEach(() => stop());

/** A local endpoint that answers what `answer` says; 'hang': nothing. */
async function endpoint(answer: (asked: Asked) => { status?: number; body: unknown } | 'hang') {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Asked['body'];
      const one = { url: request.url, headers: request.headers, body };
      asked.push(one);
      server.emit('asked');
      const said = answer(one);
      if (said === 'hang') return;
      response.writeHead(said.status ?? 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(said.body));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const apiUrl = `http://127.0.0.1:${port}/v1`;
  const embedding = new OpenAiEmbedding({ apiUrl, apiKey: 'sk-very-secret', name: 'embed-small' });
  stop = async () => {
    await embedding.close();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { embedding, asked, arrival: () => once(server, 'asked') };
}

/** Vectors that tell each text's length, the last text first. */
const lengths = ({ body }: Asked) => ({
  body: {
    object: 'list',
    model: body.model,
    data: body.input
      .map((text, index) => ({ object: 'embedding', index, embedding: [text.length, 1] }))
      .reverse(),
    usage: { prompt_tokens: 1, total_tokens: 1 },
  },
});
const signal = new AbortController().signal;

describe('embeddings of an OpenAI-compatible endpoint', () => {
  it('are asked for in batches and put into the order of the texts', async () => {
    const { embedding, asked } = await endpoint(lengths);
    const texts = Array.from({ length: 150 }, (_, i) => 'x'.repeat(i));
    expect(await embedding.embed(texts, signal)).toEqual(texts.map((text) => [text.length, 1]));
    expect(asked.map(({ body }) => body.input.length).sort((a, b) => b - a)).toEqual([64, 64, 22]);
    expect(asked[0]).toMatchObject({
      url: '/v1/embeddings',
      headers: { authorization: 'Bearer sk-very-secret' },
      body: { model: 'embed-small', encoding_format: 'float' },
    });
  });

  it('read the beginning of a very long text', async () => {
    const { embedding } = await endpoint(lengths);
    expect(await embedding.embed(['x'.repeat(100_000)], signal)).toEqual([[6_000, 1]]);
  });

  it.each([
    ['an error', { status: 401, body: { error: { message: 'bad key sk-very-secret' } } }, 'answered 401'],
    ['another error', { status: 503, body: {} }, 'answered 503'],
    ['no list', { body: { data: 'none' } }, 'does not hold one vector for each text'],
    ['nothing', { body: null }, 'does not hold one vector for each text'],
    ['too few', { body: { data: [{ index: 0, embedding: [1] }] } }, 'does not hold one vector for each text'],
    [
      'one twice',
      { body: { data: [0, 0].map((index) => ({ index, embedding: [1] })) } },
      'does not hold one vector for each text',
    ],
    [
      'two lengths',
      { body: { data: [[1], [1, 2]].map((vector, index) => ({ index, embedding: vector })) } },
      'does not hold one vector for each text',
    ],
    [
      'base64',
      { body: { data: [0, 1].map((index) => ({ index, embedding: 'AACAPw==' })) } },
      'does not hold one vector for each text',
    ],
  ])('are unavailable when it answers %s', async (_what, answer, message) => {
    const { embedding } = await endpoint(() => answer);
    const refused = embedding.embed(['a', 'b'], signal);
    await expect(refused).rejects.toMatchObject({ name: 'EuglenaError', code: 'engine_unavailable' });
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.not.toThrow('secret');
  });

  it('stop when the signal says so', async () => {
    const { embedding, arrival } = await endpoint(() => 'hang');
    const call = new AbortController();
    const arrived = arrival();
    const refused = expect(embedding.embed(['a'], call.signal)).rejects.toThrow('enough');
    await arrived;
    call.abort(new Error('enough'));
    await refused;
  });
});
