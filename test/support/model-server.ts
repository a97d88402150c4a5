import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

interface CompletionRequest {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly response_format?: {
    readonly type: string;
    readonly json_schema?: { readonly schema: unknown; readonly strict?: boolean };
  };
}

/** One request for a completion, as the server got it. */
export interface ModelCall {
  readonly messages: CompletionRequest['messages'];
  /** The whole request body. */
  readonly body: CompletionRequest;
  readonly headers: IncomingHttpHeaders;
  /** 1, 2, 3, … */
  readonly callNumber: number;
}

interface Said {
  /** Replaces the default `usage`; null leaves it out. */
  readonly usage?: unknown;
  readonly finishReason?: string;
  /** Milliseconds until the answer begins. */
  readonly delayMs?: number;
}

/**
 * What the server answers. `hang`: nothing, ever. `cut`: half of the body, then the connection breaks. `slow`: the head and
 * then one blank after another, never the end.
 */
export type ModelAnswer =
  | ({ readonly action: string; readonly argument?: string; readonly thought?: string } & Said)
  | ({ readonly text: string } & Said)
  | ({ readonly refusal: string } & Said)
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: unknown }
  | 'hang'
  | 'cut'
  | 'slow';

export type ModelScript = (call: ModelCall) => ModelAnswer | Promise<ModelAnswer>;

/** A local server that speaks OpenAI's chat completions. It says what the script says; by default EXIT with "done". */
export async function startModelServer(options: { script?: ModelScript; port?: number } = {}) {
  const script = options.script ?? (() => ({ action: 'EXIT', argument: 'done' }));
  const calls: ModelCall[] = [];
  const arrivals: { count: number; resolve: () => void }[] = [];
  const sockets = new Set<Socket>();
  const closing = new AbortController();

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.method !== 'POST' || request.url !== '/v1/chat/completions') {
      return send(response, 404, {}, { error: { message: 'no such path' } });
    }
    const body = JSON.parse(await textOf(request)) as CompletionRequest;
    const call = { body, messages: body.messages, headers: request.headers, callNumber: calls.length + 1 };
    calls.push(call);
    arrivals.filter(({ count }) => count === calls.length).forEach(({ resolve }) => resolve());
    await give(response, await script(call), body.model, closing.signal);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (!response.headersSent) send(response, 500, {}, { error: { message: String(error) } });
      else response.destroy();
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    /** Base URL, as `MODEL_API_URL` takes it. */
    url: `http://127.0.0.1:${port}/v1`,
    /** Every request for a completion so far. */
    calls: calls as readonly ModelCall[],
    /** Connections that are open now. */
    connections: () => sockets.size,
    /** Resolves when the `count`th request has arrived. */
    called: (count: number) =>
      new Promise<void>((resolve) => {
        if (calls.length >= count) resolve();
        else arrivals.push({ count, resolve });
      }),
    close: async () => {
      closing.abort();
      const closed = [server, ...sockets].map((one) => once(one, 'close'));
      server.close();
      sockets.forEach((socket) => socket.destroy());
      await Promise.all(closed);
    },
  };
}

export type ModelServer = Awaited<ReturnType<typeof startModelServer>>;

async function give(response: ServerResponse, reply: ModelAnswer, model: string, closing: AbortSignal) {
  if (reply === 'hang') return;
  if (reply === 'slow') return drip(response, closing);
  if (reply === 'cut') {
    const text = JSON.stringify(completion(model, { action: 'EXIT', argument: 'cut'.repeat(100) }));
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    });
    response.write(text.slice(0, text.length / 2), () => response.destroy());
    return;
  }
  if ('status' in reply) return send(response, reply.status, reply.headers ?? {}, reply.body ?? {});
  if (reply.delayMs !== undefined) {
    await delay(reply.delayMs, undefined, { signal: closing }).catch(() => response.destroy());
  }
  if (!response.destroyed) send(response, 200, {}, completion(model, reply));
}

async function drip(response: ServerResponse, closing: AbortSignal): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json' });
  while (!response.destroyed && !closing.aborted) {
    response.write(' ');
    await delay(20, undefined, { signal: closing, ref: false }).catch(() => response.destroy());
  }
}

function completion(model: string, reply: Exclude<ModelAnswer, string | { status: number }>) {
  const message = {
    role: 'assistant',
    content: contentOf(reply),
    refusal: 'refusal' in reply ? reply.refusal : null,
  };
  const usage = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 };
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_700_000_000,
    model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: reply.finishReason ?? 'stop' }],
    ...(reply.usage === null ? {} : { usage: reply.usage ?? usage }),
  };
}

function contentOf(reply: Exclude<ModelAnswer, string | { status: number }>): string | null {
  if ('refusal' in reply) return null;
  if ('text' in reply) return reply.text;
  return JSON.stringify({
    thought: reply.thought ?? '',
    action: reply.action,
    argument: reply.argument ?? '',
  });
}

function send(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: unknown,
): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(text);
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
