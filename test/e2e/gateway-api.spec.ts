import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HealthService } from '../../src/boot/health.service.js';
import { EventsService } from '../../src/gateway/events.service.js';
import { PRESENCE, type Presence } from '../../src/ports/presence/presence.port.js';
import { QUOTA, type Quota } from '../../src/ports/quota/quota.port.js';
import { ApiContract } from '../support/api-contract.js';
import { eventually } from '../support/eventually.js';
import { type GatewayApp, startGateway } from '../support/gateway-app.js';

const USER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const NEIGHBOUR = 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb';

interface Task {
  correlation_id: string;
  status: string;
}
interface Problem {
  code: string;
  errors?: { field: string; message: string }[];
}

const contract = new ApiContract();
let gateway: GatewayApp;
let token: string;
let neighbour: string;
const engine = { name: 'engine', down: false, pings: 0 };

beforeAll(async () => {
  const ping = async () => {
    engine.pings += 1;
    if (engine.down) throw new Error('secret-host:5432 refused');
  };
  gateway = await startGateway({
    env: { DAILY_TICK_LIMIT: '10000', CORS_ALLOWED_ORIGINS: 'https://app.euglena.example' },
    checks: [{ name: engine.name, ping }],
  });
  [token, neighbour] = [await gateway.token(USER), await gateway.token(NEIGHBOUR)];
});
afterAll(() => gateway.close());

/** Any request; its answer must be as the API's document says. */
async function call(path: string, init: RequestInit & { as?: string } = {}): Promise<Response> {
  const { as = token, headers, ...rest } = init;
  const authorization: Record<string, string> = as === '' ? {} : { authorization: `Bearer ${as}` };
  const response = await fetch(`${gateway.origin}${path}`, {
    ...rest,
    headers: { ...authorization, ...(headers as Record<string, string>) },
  });
  const { status, headers: received } = response;
  if (received.get('content-type')?.startsWith('text/event-stream')) return response;
  const body = await response.clone().text();
  contract.check(rest.method ?? 'GET', path, { status, headers: received, body });
  return response;
}

function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const type = { 'content-type': 'application/json' };
  return call(path, { method: 'POST', body: JSON.stringify(body), headers: { ...type, ...headers } });
}

async function submit(mandate = 'Find X'): Promise<Task> {
  return (await (await post('/tasks', { mandate, max_ticks: 5 })).json()) as Task;
}

const json = async <T>(response: Response | Promise<Response>) => (await (await response).json()) as T;

describe('tasks', () => {
  it('are handed in, found, listed, cancelled and paid for', async () => {
    const response = await post('/tasks', { mandate: 'Find X', max_ticks: 5 });
    expect(response.status).toBe(202);
    const task = await json<Task>(response);
    expect(response.headers.get('location')).toBe(`/tasks/${task.correlation_id}`);
    expect(task).toMatchObject({
      status: 'in_queue',
      mandate: 'Find X',
      max_ticks: 5,
      tick: 0,
      result: null,
    });
    expect(await json(call(`/tasks/${task.correlation_id}`))).toEqual(task);
    const page = await json<{ tasks: Task[] }>(call('/tasks?status=in_queue&limit=100'));
    expect(page.tasks).toContainEqual(task);
    expect((await json<{ used: number }>(call('/quota'))).used).toBe(5);

    const cancelled = await call(`/tasks/${task.correlation_id}/cancel`, { method: 'POST' });
    expect(cancelled.status).toBe(200);
    const ended = await json<Task>(cancelled);
    expect(ended.status).toBe('cancelled');
    expect(await json(call(`/tasks/${task.correlation_id}/cancel`, { method: 'POST' }))).toEqual(ended);
    const spent = async () => (await gateway.app.get<Quota>(QUOTA, { strict: false }).usage(USER)).used === 0;
    await eventually('the ticks come back', spent);
  });

  it('are listed page by page', async () => {
    const ids = [];
    for (let index = 0; index < 5; index += 1) ids.unshift((await submit(`page ${index}`)).correlation_id);
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null && seen.length < 5) {
      const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page: { tasks: Task[]; next_cursor: string | null } = await json(call(`/tasks?limit=2${query}`));
      seen.push(...page.tasks.map(({ correlation_id: id }) => id));
      cursor = page.next_cursor;
    }
    expect(seen.slice(0, 5)).toEqual(ids);
  });

  it("read like nothing when they are somebody else's", async () => {
    const { correlation_id: id } = await submit();
    const unknown = '99999999-9999-4999-8999-999999999999';
    for (const [path, method] of [
      ['', 'GET'],
      ['/cancel', 'POST'],
      ['/events', 'GET'],
    ] as const) {
      const theirs = await call(`/tasks/${id}${path}`, { method, as: neighbour });
      const nobodys = await call(`/tasks/${unknown}${path}`, { method, as: neighbour });
      expect(theirs.status).toBe(404);
      const [one, other] = [await json<object>(theirs), await json<object>(nobodys)];
      expect({ ...one, request_id: '' }).toEqual({ ...other, request_id: '' });
    }
    expect(await json(call('/tasks', { as: neighbour }))).toEqual({ tasks: [], next_cursor: null });
  });

  it.each([
    ['/tasks?limit=0', 'limit'],
    ['/tasks?limit=101', 'limit'],
    ['/tasks?limit=2.5', 'limit'],
    ['/tasks?limit=1&limit=2', 'limit'],
    ['/tasks?status=pending', 'status'],
    ['/tasks?owner=x', 'owner'],
    ['/tasks/x/events?after=-1', 'after'],
  ])('%s is refused, and the field named', async (path, field) => {
    const response = await call(path);
    expect(response.status).toBe(422);
    expect((await json<Problem>(response)).errors?.map((error) => error.field)).toEqual([field]);
  });

  it('are refused with every wrong field named, echoing little', async () => {
    const long = 'x'.repeat(1_000);
    const response = await post('/tasks', { max_ticks: '5', [long]: 1 });
    expect(response.status).toBe(422);
    const { errors } = await json<Problem>(response);
    expect(errors?.map(({ field }) => field).sort()).toEqual(['mandate', 'max_ticks', 'x'.repeat(64)]);
  });

  it('say what their data is to follow', async () => {
    const schema = { type: 'object', properties: { a: { enum: [1, 'b', null] } }, required: [] };
    const task = await json<Task>(post('/tasks', { mandate: 'Find X', output_schema: schema }));
    expect(task).toMatchObject({ output_schema: schema });
    expect(await json(call(`/tasks/${task.correlation_id}`))).toEqual(task);
  });

  it.each([
    [null, 'must be a JSON object'],
    ['object', 'must be a JSON object'],
    [{ type: 'array' }, 'at its root'],
    [{ type: 'object', properties: 5 }, 'is no JSON Schema'],
    [{ type: 'object', $ref: 'https://example.com/' }, 'must not refer to'],
  ])('are refused with the schema %j', async (schema, message) => {
    const response = await post('/tasks', { mandate: 'a', output_schema: schema });
    expect(response.status).toBe(422);
    const { errors } = await json<Problem>(response);
    expect(errors).toMatchObject([{ field: 'output_schema', message: expect.stringContaining(message) }]);
  });

  it.each(['', 'a b', 'x'.repeat(256), 'ключ'])('with the Idempotency-Key %j are refused', async (key) => {
    const value = Buffer.from(key).toString('latin1');
    const response = await post('/tasks', { mandate: 'a' }, { 'idempotency-key': value });
    expect(response.status).toBe(422);
  });

  it('with a used Idempotency-Key and another body are refused', async () => {
    const key = { 'idempotency-key': 'once' };
    expect((await post('/tasks', { mandate: 'a' }, key)).status).toBe(202);
    const response = await post('/tasks', { mandate: 'b' }, key);
    expect(response.status).toBe(409);
    expect((await json<Problem>(response)).code).toBe('idempotency_mismatch');
  });
});

describe('who may come in', () => {
  it.each([
    ['POST', '/tasks'],
    ['GET', '/tasks'],
    ['GET', '/tasks/x'],
    ['GET', '/tasks/x/events'],
    ['POST', '/tasks/x/cancel'],
    ['GET', '/quota'],
  ])('nobody without a token: %s %s', async (method, path) => {
    for (const as of ['', 'nonsense', `${token}x`]) {
      const response = await call(path, { method, as });
      expect(response.status).toBe(401);
      const error = as === '' ? '' : ', error="invalid_token"';
      expect(response.headers.get('www-authenticate')).toBe(`Bearer realm="euglena"${error}`);
      expect(response.headers.get('cache-control')).toBe('no-store');
    }
  });

  it('takes the scheme in any case, and no other scheme', async () => {
    const withHeader = (authorization: string) => call('/quota', { as: '', headers: { authorization } });
    expect((await withHeader(`bearer  ${token}`)).status).toBe(200);
    expect((await withHeader(`Basic ${token}`)).status).toBe(401);
    expect((await withHeader(token)).status).toBe(401);
  });
});

describe('events', () => {
  it('tell the whole story, can be resumed, and end', async () => {
    const { correlation_id: id } = await submit();
    const live = await call(`/tasks/${id}/events`);
    expect(live.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(live.headers.get('cache-control')).toBe('no-store');
    expect(live.headers.get('x-accel-buffering')).toBe('no');
    await call(`/tasks/${id}/cancel`, { method: 'POST' });
    const text = await live.text();
    expect(text.match(/^event: .*$/gm)).toEqual(['event: submitted', 'event: finished']);
    const rest = await call(`/tasks/${id}/events`, { headers: { 'last-event-id': '1' } });
    expect((await rest.text()).match(/^id: .*$/gm)).toEqual(['id: 2']);
    expect((await (await call(`/tasks/${id}/events?after=1`)).text()).match(/^id: .*$/gm)).toEqual(['id: 2']);
    expect((await call(`/tasks/${id}/events?after=2`)).status).toBe(204);
    expect((await call(`/tasks/${id}/events`, { headers: { 'last-event-id': 'x' } })).status).toBe(422);
  });

  it('leave nothing behind when the client goes', async () => {
    const { correlation_id: id } = await submit();
    const events = gateway.app.get(EventsService, { strict: false });
    const leaving = new AbortController();
    const live = await call(`/tasks/${id}/events`, { signal: leaving.signal });
    await live.body?.getReader().read();
    expect(events.followed).toBe(1);
    leaving.abort();
    await eventually('nobody follows', () => events.followed === 0);
    await call(`/tasks/${id}/events`, { method: 'HEAD' });
    await eventually('nobody follows', () => events.followed === 0);
  });
});

describe('what is open to everybody', () => {
  it('counts live workers', async () => {
    expect(await json(call('/agents/count', { as: '' }))).toEqual({ count: 0 });
    const presence = gateway.app.get<Presence>(PRESENCE, { strict: false });
    const worker = { workerId: 'w', state: 'free', running: 0, capacity: 1, pid: 1, startedAt: 0 } as const;
    await presence.beat(worker, 60_000);
    expect(await json(call('/agents/count', { as: '' }))).toEqual({ count: 1 });
  });

  it('documents itself, for people and programs', async () => {
    const document = await json<{ paths: Record<string, object>; components: object }>(call('/openapi.json'));
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(['/tasks', '/tasks/{id}', '/tasks/{id}/events', '/quota', '/health']),
    );
    expect(document.components).toMatchObject({ securitySchemes: { bearer: { scheme: 'bearer' } } });
    const page = await (await call('/docs', { as: '' })).text();
    for (const [, asset] of page.matchAll(/(?:src|href)="(docs\/[^"]+)"/g)) {
      expect((await call(`/${asset}`, { as: '' })).status).toBe(200);
    }
  });

  it('says which component is down, and nothing about it', async () => {
    expect(await json(call('/health', { as: '' }))).toEqual({
      status: 'ok',
      components: { engine: { status: 'up' } },
    });
    engine.down = true;
    const health = () => call('/health', { as: '' });
    await eventually('the failure is seen', async () => (await health()).status === 503);
    const pings = engine.pings;
    await Promise.all(Array.from({ length: 20 }, health));
    expect(engine.pings).toBeLessThanOrEqual(pings + 1);
    expect(await json(call('/health/ready'))).toEqual({
      status: 'error',
      components: { engine: { status: 'down' } },
    });
    expect((await call('/health/live', { as: '' })).status).toBe(200);
    engine.down = false;
    await eventually('it is well again', async () => (await health()).status === 200);
    gateway.app.get(HealthService, { strict: false }).markDraining();
    expect((await health()).status).toBe(503);
    expect((await call('/health/live', { as: '' })).status).toBe(200);
  });
});

describe('every answer', () => {
  it('carries its id and closes what browsers leave open', async () => {
    const response = await call('/quota', { headers: { 'x-request-id': 'trace.42' } });
    expect(response.headers.get('x-request-id')).toBe('trace.42');
    const odd = await call('/nope', { headers: { 'x-request-id': 'a b' } });
    expect(odd.headers.get('x-request-id')).toMatch(/^[\da-f-]{36}$/);
    expect(await json(odd)).toMatchObject({ request_id: odd.headers.get('x-request-id') });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    });
  });

  it('tells a wrong method from a wrong address', async () => {
    const response = await call('/tasks', { method: 'DELETE' });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD, POST');
    const unknown = await call('/nope', {
      method: 'POST',
      body: 'x',
      headers: { 'content-type': 'text/plain' },
    });
    expect(unknown.status).toBe(404);
  });
});
