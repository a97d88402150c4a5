import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';

/**
 * What the server answers. `hold`: nothing until another answer is set, which then goes to whoever waits. `down`: the
 * connection breaks. `slow`: a head, and then one byte after another without end.
 */
export type AuthAnswer =
  | 'hold'
  | 'down'
  | 'slow'
  | { readonly status?: number; readonly headers?: Record<string, string>; readonly body: unknown };

interface Endpoint {
  answer: AuthAnswer;
  readonly requests: IncomingHttpHeaders[];
  readonly held: ServerResponse[];
}

/** Supabase Auth as the gateway sees it: the public signing keys of a project, and the user of a token. */
export async function startSupabaseAuthServer(keys: readonly unknown[] = []) {
  const endpoint = (body: unknown): Endpoint => ({ answer: { body }, requests: [], held: [] });
  const endpoints: Record<string, Endpoint> = {
    '/auth/v1/.well-known/jwks.json': endpoint({ keys }),
    '/auth/v1/user': endpoint({ id: 'u', email_confirmed_at: '2026-01-01T00:00:00Z' }),
  };
  const others: string[] = [];
  const server = createServer((request, response) => {
    const found = endpoints[request.url ?? ''];
    if (found === undefined) {
      others.push(request.url ?? '');
      response.writeHead(404).end();
      return;
    }
    found.requests.push(request.headers);
    give(response, found);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const control = (path: string) => {
    const one = endpoints[path] as Endpoint;
    return {
      /** The headers of every request so far. */
      requests: one.requests as readonly IncomingHttpHeaders[],
      /** What is answered from now on, to those who wait too. */
      answer: (answer: AuthAnswer) => {
        one.answer = answer;
        for (const response of one.held.splice(0)) give(response, one);
      },
    };
  };
  const keySet = control('/auth/v1/.well-known/jwks.json');
  return {
    /** As `SUPABASE_URL` takes it. */
    url,
    issuer: `${url}/auth/v1`,
    keySet: {
      ...keySet,
      publish: (published: readonly unknown[]) => keySet.answer({ body: { keys: published } }),
    },
    user: control('/auth/v1/user'),
    /** Requests for anything else. */
    others: others as readonly string[],
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export type SupabaseAuthServer = Awaited<ReturnType<typeof startSupabaseAuthServer>>;

function give(response: ServerResponse, { answer, held }: Endpoint): void {
  if (answer === 'hold') {
    held.push(response);
  } else if (answer === 'down') {
    response.socket?.destroy();
  } else if (answer === 'slow') {
    response.writeHead(200, { 'content-type': 'application/json' });
    const timer = setInterval(() => response.write(' '), 10);
    response.on('close', () => clearInterval(timer));
  } else {
    const { status = 200, headers = {}, body } = answer;
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  }
}
