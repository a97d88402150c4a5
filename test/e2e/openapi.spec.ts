import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import { portsOf } from '../../src/config/adapter-choice.js';
import { EuglenaError } from '../../src/domain/errors.js';
import { IDENTITY, type Identity } from '../../src/ports/identity/identity.port.js';
import { localSecret } from '../../src/ports/identity/local-secret.js';
import { PRESENCE, type Presence } from '../../src/ports/presence/presence.port.js';
import { QUOTA, type Quota } from '../../src/ports/quota/quota.port.js';
import { TASK_STORE, type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { WORK_QUEUE, type WorkQueue } from '../../src/ports/work-queue/work-queue.port.js';
import { ApiContract, type Operation } from '../support/api-contract.js';
import { type GatewayApp, startGateway } from '../support/gateway-app.js';
import { sendRaw } from '../support/raw-http.js';
import { claimAndAnswer } from '../support/scripted-agent.js';

const USER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const NEIGHBOUR = 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb';
const UNKNOWN = '99999999-9999-4999-8999-999999999999';
const ROOT = new URL('../../', import.meta.url);

const contract = new ApiContract();
const engine = { down: false };
let gateway: GatewayApp;
let token: string;

beforeAll(async () => {
  gateway = await startGateway({
    env: { DAILY_TICK_LIMIT: '200', USER_MAX_ACTIVE_TASKS: '3' },
    checks: [
      { name: 'engine', ping: async () => (engine.down ? Promise.reject(new Error('down')) : undefined) },
    ],
  });
  token = await gateway.token(USER);
});
afterAll(() => gateway.close());

interface Call {
  readonly as?: string;
  readonly at?: GatewayApp;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** Sends a request, and fails when the answer is not as the document says. */
async function call(method: string, path: string, { as = token, at = gateway, body, headers }: Call = {}) {
  const response = await fetch(`${at.origin}${path}`, {
    method,
    headers: {
      ...(as === '' ? {} : { authorization: `Bearer ${as}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  contract.check(method, path, { status: response.status, headers: response.headers, body: text });
  return { status: response.status, text, json: () => JSON.parse(text) as Record<string, unknown> };
}

const submit = async (as = token, body: object = { mandate: 'Find X', max_ticks: 1 }) =>
  (await call('POST', '/tasks', { as, body })).json().correlation_id as string;
const cancel = (id: string, as = token) => call('POST', `/tasks/${id}/cancel`, { as });

/** A body that the operation takes, as the document gives it. */
function exampleBody({ path, method }: Operation): unknown {
  const operation = contract.document.paths[path]?.[method.toLowerCase()];
  const request = operation?.requestBody as { content: Record<string, { example: unknown }> } | undefined;
  return request?.content['application/json']?.example;
}

describe('the document', () => {
  it('is the one that a running server gives; if not: npm run openapi', async () => {
    const served = await (await fetch(`${gateway.origin}/openapi.json`)).text();
    const committed = readFileSync(new URL('openapi.json', ROOT), 'utf8');
    expect(`${JSON.stringify(JSON.parse(served), null, 2)}\n`).toBe(committed);
  });

  it('gives the types that the tests’ client is compiled with; if not: npm run openapi', async () => {
    const cli = new URL('node_modules/openapi-typescript/bin/cli.js', ROOT).pathname;
    const output = ['-o', 'test/support/openapi-types.ts', '--check'];
    const run = promisify(execFile)(process.execPath, [cli, 'openapi.json', ...output], { cwd: ROOT });
    await expect(run).resolves.toBeDefined();
  });

  it('names, describes and exemplifies everything', () => {
    const { document, operations } = contract;
    expect(operations.map(({ operationId }) => operationId).sort()).toEqual([
      'cancelTask',
      'countAgents',
      'extendTask',
      'followTask',
      'getCallbackSecret',
      'getHealth',
      'getLiveness',
      'getQuota',
      'getReadiness',
      'getTask',
      'listTasks',
      'submitTask',
    ]);
    const tags = (document.tags as { name: string }[]).map(({ name }) => name);
    for (const { path, method } of operations) {
      const operation = document.paths[path]?.[method.toLowerCase()];
      expect(operation).toMatchObject({ summary: expect.any(String), tags: [expect.any(String)] });
      expect(tags).toEqual(expect.arrayContaining(operation?.tags as string[]));
    }
    expect(document.openapi).toBe('3.1.0');
    expect(document.servers).toHaveLength(1);
  });

  it('has examples that are of their schemas', () => {
    const bodies: Record<
      string,
      { schema: Record<string, unknown>; example?: unknown; examples?: object }
    >[] = [];
    for (const methods of Object.values(contract.document.paths)) {
      for (const operation of Object.values(methods)) {
        const { requestBody, responses } = operation as unknown as {
          requestBody?: { content: (typeof bodies)[0] };
          responses: Record<string, { content?: (typeof bodies)[0] }>;
        };
        if (requestBody) bodies.push(requestBody.content);
        for (const { content } of Object.values(responses)) if (content) bodies.push(content);
      }
    }
    expect(bodies.length).toBeGreaterThan(60);
    for (const { schema, example, examples } of bodies.flatMap((content) => Object.values(content))) {
      const values = Object.values((examples ?? {}) as Record<string, { value: unknown }>);
      const all = [...(example === undefined ? [] : [example]), ...values.map(({ value }) => value)];
      expect(all).not.toEqual([]);
      for (const value of all) contract.checkSchema('example', schema, value);
    }
  });
});

describe('every route with the id of a task', () => {
  const routes = contract.operations.filter(({ path }) => path.includes('{id}'));

  it.each(routes.map((route) => [route.operationId, route] as const))(
    '%s answers another user’s id like one that does not exist',
    async (_name, route) => {
      const owner = await gateway.token('dddddddd-dddd-4ddd-8ddd-dddddddddddd');
      const id = await submit(owner);
      const body = exampleBody(route);
      const answers = [];
      for (const wanted of [id, UNKNOWN]) {
        const answer = await call(route.method, route.path.replace('{id}', wanted), { body });
        expect(answer.status).toBe(404);
        answers.push({ ...answer.json(), request_id: '' });
      }
      expect(answers[0]).toEqual(answers[1]);
      const untouched = await call('GET', `/tasks/${id}`, { as: owner });
      expect(untouched.json()).toMatchObject({ status: 'in_queue', max_ticks: 1 });
      await cancel(id, owner);
    },
  );

  it('are four', () => {
    expect(routes.map(({ operationId }) => operationId).sort()).toEqual([
      'cancelTask',
      'extendTask',
      'followTask',
      'getTask',
    ]);
  });
});

describe('every status of every operation is answered as documented', () => {
  const usersOperations = contract.operations.filter(({ security }) => security);
  const posts = usersOperations.filter(({ method }) => method === 'POST');
  const at = ({ path }: Operation, id = UNKNOWN) => path.replace('{id}', id);

  it('400 for a request that is none', async () => {
    for (const operation of contract.operations) {
      const request = `${operation.method} ${at(operation)} HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n`;
      const { status, headers, body } = await sendRaw(gateway.port, Buffer.from(request));
      expect([operation.operationId, status]).toEqual([operation.operationId, 400]);
      contract.check(operation.method, at(operation), { status: status ?? 0, headers, body });
    }
  });

  it('400, 413 and 415 for a body that cannot be read', async () => {
    for (const operation of posts) {
      const bodies = [
        ['{', 'application/json', 400],
        [`{"mandate":"${'x'.repeat(1_048_577)}"}`, 'application/json', 413],
        ['mandate', 'text/plain', 415],
      ] as const;
      for (const [body, type, status] of bodies) {
        const answer = await call('POST', at(operation), { body, headers: { 'content-type': type } });
        expect([operation.operationId, answer.status]).toEqual([operation.operationId, status]);
      }
    }
  });

  it('401 without a good token, 403 for a user who may not come in', async () => {
    const now = Math.floor(Date.now() / 1_000);
    const anonymous = await new SignJWT({ role: 'authenticated', is_anonymous: true })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuer('euglena-local')
      .setAudience('authenticated')
      .setSubject(USER)
      .setIssuedAt(now)
      .setExpirationTime(now + 60)
      .sign(localSecret(gateway.dataDir));
    for (const operation of contract.operations) {
      const body = exampleBody(operation);
      for (const [as, status] of [
        ['', 401],
        ['nonsense', 401],
        [anonymous, 403],
      ] as const) {
        const answer = await call(operation.method, at(operation), { as, body });
        expect([operation.operationId, answer.status]).toEqual([
          operation.operationId,
          operation.security ? status : 200,
        ]);
      }
    }
  });

  it('404 for a task that is not there', async () => {
    for (const operation of usersOperations.filter(({ path }) => path.includes('{id}'))) {
      const answer = await call(operation.method, at(operation), { body: exampleBody(operation) });
      expect([operation.operationId, answer.status]).toEqual([operation.operationId, 404]);
    }
  });

  it('422 for fields that are wrong', async () => {
    const invalid: [string, string, unknown?][] = [
      ['POST', '/tasks', { mandate: '', max_ticks: 0, more: 1 }],
      ['POST', '/tasks?dry_run=yes', { mandate: 'x' }],
      ['POST', '/tasks?dryrun=true', { mandate: 'x' }],
      ['GET', '/tasks?limit=0'],
      ['GET', `/tasks/${UNKNOWN}/events?after=x`],
      ['POST', `/tasks/${UNKNOWN}/extend`, { ticks: 200 }],
      ['POST', `/tasks/${UNKNOWN}/extend`, {}],
    ];
    for (const [method, path, body] of invalid) {
      expect([path, (await call(method, path, { body })).status]).toEqual([path, 422]);
    }
  });

  it('2xx and 409 for tasks', async () => {
    const dry = await call('POST', '/tasks?dry_run=true', { body: { mandate: 'x' } });
    expect(dry.status).toBe(200);
    const headers = { 'idempotency-key': 'k' };
    const submitted = await call('POST', '/tasks', { body: { mandate: 'x', max_ticks: 3 }, headers });
    expect(submitted.status).toBe(202);
    expect((await call('POST', '/tasks', { body: { mandate: 'y' }, headers })).status).toBe(409);
    const id = submitted.json().correlation_id as string;
    expect((await call('GET', `/tasks/${id}`)).status).toBe(200);
    expect((await call('GET', '/tasks')).status).toBe(200);
    expect((await call('POST', `/tasks/${id}/extend`, { body: { ticks: 1 } })).status).toBe(409);
    expect((await cancel(id)).status).toBe(200);
    const events = await call('GET', `/tasks/${id}/events`);
    expect(events.status).toBe(200);
    const entries = [...events.text.matchAll(/^data: (.*)$/gm)].map(([, data = '']) => data);
    expect(entries).toHaveLength(2);
    for (const entry of entries) contract.checkNamed('JournalEntry', JSON.parse(entry));
    expect((await call('GET', `/tasks/${id}/events?after=2`)).status).toBe(204);
    expect((await call('POST', `/tasks/${id}/extend`, { body: { ticks: 1 } })).status).toBe(409);
    expect((await call('GET', '/quota')).status).toBe(200);
    expect((await call('GET', '/callbacks/secret')).status).toBe(200);
  });

  it('404 for the secret of a server that sends no callbacks', async () => {
    const embedded = portsOf({ parts: ['gateway'] }).join(',');
    const silent = await startGateway({ env: { NODE_ENV: 'production', EUGLENA_ALLOW_EMBEDDED: embedded } });
    try {
      const as = await silent.token(USER);
      expect((await call('GET', '/callbacks/secret', { as, at: silent })).status).toBe(404);
    } finally {
      await silent.close();
    }
  });

  it('202 for an extension', async () => {
    const id = await submit();
    await endAsAgent(id);
    const extended = await call('POST', `/tasks/${id}/extend`, { body: { ticks: 4 } });
    expect(extended.status).toBe(202);
    expect(extended.json()).toMatchObject({
      status: 'in_queue',
      max_ticks: 5,
      result: null,
      worker_id: null,
    });
    await cancel(id);
  });

  it('429 beyond the quota, the active tasks and the rate', async () => {
    const ids = [await submit(), await submit()];
    await endAsAgent(ids[0] ?? '');
    const codes: unknown[] = [];
    const tooMuch = { mandate: 'x', max_ticks: 200 };
    codes.push((await call('POST', '/tasks', { body: tooMuch })).json().code);
    codes.push((await call('POST', `/tasks/${ids[0]}/extend`, { body: { ticks: 199 } })).json().code);
    ids.push(await submit(), await submit());
    codes.push((await call('POST', '/tasks', { body: { mandate: 'x', max_ticks: 1 } })).json().code);
    codes.push((await call('POST', `/tasks/${ids[0]}/extend`, { body: { ticks: 1 } })).json().code);
    expect(codes).toEqual([
      'quota_exceeded',
      'quota_exceeded',
      'too_many_active_tasks',
      'too_many_active_tasks',
    ]);
    for (const id of ids.slice(1)) await cancel(id);

    const strict = await startGateway({ env: { RATE_LIMIT_PER_MINUTE: '1' } });
    try {
      const as = await strict.token(NEIGHBOUR);
      expect((await call('GET', '/quota', { as, at: strict })).status).toBe(200);
      for (const operation of usersOperations) {
        const answer = await call(operation.method, at(operation), {
          as,
          at: strict,
          body: exampleBody(operation),
        });
        expect([operation.operationId, answer.json().code]).toEqual([operation.operationId, 'rate_limited']);
      }
    } finally {
      await strict.close();
    }
  });

  it('503 when an engine is away', async () => {
    const broken = await startGateway();
    const down = () => Promise.reject(new EuglenaError('engine_unavailable', 'pulled the plug'));
    const of = <T extends object>(port: symbol) => broken.app.get<T>(port, { strict: false });
    const identity = of<Identity>(IDENTITY);
    const verify = identity.verify.bind(identity);
    Object.assign(of<TaskStore>(TASK_STORE), { find: down, list: down, commit: down });
    Object.assign(of<WorkQueue>(WORK_QUEUE), { depth: down });
    Object.assign(of<Quota>(QUOTA), { usage: down });
    Object.assign(of<Presence>(PRESENCE), { list: down });
    try {
      const as = await broken.token(USER);
      for (const operation of usersOperations) {
        // It needs no engine but the one that knows users.
        const alone = operation.operationId === 'getCallbackSecret';
        Object.assign(identity, { verify: alone ? down : verify });
        const answer = await call(operation.method, at(operation), {
          as,
          at: broken,
          body: exampleBody(operation),
        });
        expect([operation.operationId, answer.status]).toEqual([operation.operationId, 503]);
        expect(answer.text).not.toContain('plug');
      }
      expect((await call('GET', '/agents/count', { as: '', at: broken })).json()).toEqual({ count: 0 });
    } finally {
      await broken.close();
    }
  });

  it('200 and 503 for whoever watches over it', async () => {
    for (const path of ['/health', '/health/ready', '/health/live', '/agents/count']) {
      expect([path, (await call('GET', path, { as: '' })).status]).toEqual([path, 200]);
    }
    engine.down = true;
    const end = Date.now() + 10_000;
    for (const path of ['/health', '/health/ready']) {
      let status = 200;
      while (status === 200 && Date.now() < end) ({ status } = await call('GET', path, { as: '' }));
      expect(status).toBe(503);
    }
  });

  it('and nothing documented was left out', () => {
    const documented = contract.operations.flatMap(({ operationId, responses }) =>
      Object.keys(responses)
        .filter((status) => status !== 'default')
        .map((status) => `${operationId} ${status}`),
    );
    expect([...contract.seen].sort()).toEqual(documented.sort());
  });
});

/** Ends a task with an answer, as an agent does. */
async function endAsAgent(id: string): Promise<void> {
  await claimAndAnswer(gateway.app.get<TaskStore>(TASK_STORE, { strict: false }), id);
}
