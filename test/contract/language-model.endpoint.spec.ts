import { createServer, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ChatEndpoint } from '../../src/ports/language-model/chat-endpoint.js';

describe('the address of an OpenAI-compatible endpoint', () => {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    response.writeHead(302, { location: '/elsewhere' }).end('moved');
  });
  let origin: string;
  beforeEach(async () => {
    requests.length = 0;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    server.close();
    await once(server, 'close');
  });

  const ask = async (apiUrl: string, apiKey: string | null) => {
    const endpoint = new ChatEndpoint(apiUrl, apiKey);
    const answer = await endpoint.ask({ model: 'm' }, new AbortController().signal);
    await endpoint.close();
    return answer;
  };

  it.each([
    ['', '/chat/completions'],
    ['/', '/chat/completions'],
    ['/v1', '/v1/chat/completions'],
    ['/v1//', '/v1/chat/completions'],
    ['/openai/deployments/d?api-version=1', '/openai/deployments/d/chat/completions?api-version=1'],
  ])('asks under %j at %j', async (base, path) => {
    await ask(`${origin}${base}`, null);
    expect(requests.map(({ method, url }) => `${method} ${url}`)).toEqual([`POST ${path}`]);
  });

  it('sends the key, and no word of one where there is none', async () => {
    await ask(origin, 'sk-1');
    await ask(origin, null);
    expect(requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer sk-1', undefined]);
    expect(requests[0]?.headers).toMatchObject({
      'content-type': 'application/json',
      'accept-encoding': 'identity',
    });
  });

  it('does not carry the key to where a redirect leads', async () => {
    expect(await ask(origin, 'sk-1')).toEqual({ status: 302, retryAfter: null, text: 'moved' });
    expect(requests).toHaveLength(1);
  });
});
