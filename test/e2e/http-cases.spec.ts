import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Quota, QUOTA } from '../../src/ports/quota/quota.port.js';
import { type TaskStore, TASK_STORE } from '../../src/ports/task-store/task-store.port.js';
import { type WorkQueue, WORK_QUEUE } from '../../src/ports/work-queue/work-queue.port.js';
import { ApiContract } from '../support/api-contract.js';
import { type GatewayApp, startGateway } from '../support/gateway-app.js';
import { type RawAnswer, sendRaw } from '../support/raw-http.js';

interface BodyGen {
  prefix: string;
  repeat: [string, number];
  mid?: string;
  repeat2?: [string, number];
  suffix: string;
}
interface HttpCase {
  id: string;
  title: string;
  group: string;
  method: string;
  path: string;
  auth: 'valid' | 'none';
  as?: 'user2';
  headers?: Record<string, string>;
  body?: string;
  bodyTemplate?: string;
  bodyHex?: string;
  bodyGen?: BodyGen;
  chunked?: boolean;
  raw?: string;
  half_close?: boolean;
  fixture?: { ticks_left: number };
  repeat?: number;
  expect: {
    status: number;
    or?: (number | 'closed')[];
    present?: Record<string, string>;
    vary?: string;
    absent?: string[];
    methods_exclude?: string[];
  };
}

const { cases } = JSON.parse(
  readFileSync(new URL('../corpora/http-cases.json', import.meta.url), 'utf8'),
) as { cases: HttpCase[] };

const ORIGIN = 'https://app.euglena.example';
const USER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const USER_2 = '22222222-2222-4222-8222-222222222222';
const FRUGAL_USER = 'cccccccc-cccc-4ccc-8ccc-cccccccccccc';
const DAILY_LIMIT = 1_000_000;
/** What an answer never holds: stacks, file names, the framework's own codes. */
const LEAKS = /\n {4}at |node_modules|\.ts:|\.js:|FST_ERR|SyntaxError|HPE_/;

const contract = new ApiContract();
let gateway: GatewayApp;
let tokens: Record<string, string>;
let otherTask: string;

beforeAll(async () => {
  gateway = await startGateway({
    env: { CORS_ALLOWED_ORIGINS: ORIGIN, DAILY_TICK_LIMIT: String(DAILY_LIMIT) },
  });
  tokens = {
    [USER]: await gateway.token(USER),
    [USER_2]: await gateway.token(USER_2),
    [FRUGAL_USER]: await gateway.token(FRUGAL_USER),
  };
  const response = await fetch(`${gateway.origin}/tasks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokens[USER_2]}`, 'content-type': 'application/json' },
    body: JSON.stringify({ mandate: "somebody else's" }),
  });
  otherTask = ((await response.json()) as { correlation_id: string }).correlation_id;
});

afterAll(() => gateway.close());

const userOf = (given: HttpCase) => (given.fixture ? FRUGAL_USER : given.as === 'user2' ? USER_2 : USER);

function fill(text: string, user: string): string {
  return text
    .replaceAll('$HOST', `127.0.0.1:${gateway.port}`)
    .replaceAll('$OTHER_TASK', otherTask)
    .replaceAll('$ORIGIN', ORIGIN)
    .replaceAll('$MAX_TICKS', '200')
    .replace(/\$FILL(\d+)/g, (_, count: string) => 'f'.repeat(Number(count)))
    .replace(/\$HEADERS(\d{1,4})/g, (_, count: string) =>
      Array.from({ length: Number(count) }, (_unused, index) => `X-${index}: 1\r\n`).join(''),
    )
    .replaceAll('$T', tokens[user] ?? '');
}

function bodyOf(given: HttpCase, user: string): Buffer | undefined {
  if (given.bodyHex !== undefined) return Buffer.from(given.bodyHex, 'hex');
  if (given.bodyGen !== undefined) {
    const { prefix, repeat, mid = '', repeat2 = ['', 0], suffix } = given.bodyGen;
    return Buffer.from(prefix + repeat[0].repeat(repeat[1]) + mid + repeat2[0].repeat(repeat2[1]) + suffix);
  }
  if (given.bodyTemplate !== undefined) return Buffer.from(fill(given.bodyTemplate, user));
  return given.body === undefined ? undefined : Buffer.from(given.body);
}

function requestOf(given: HttpCase): Buffer {
  const user = userOf(given);
  if (given.raw !== undefined) return Buffer.from(fill(given.raw, user), 'latin1');
  const body = bodyOf(given, user);
  const head = [
    `${given.method} ${fill(given.path, user)} HTTP/1.1`,
    `Host: 127.0.0.1:${gateway.port}`,
    'Connection: close',
    ...(given.auth === 'valid' ? [`Authorization: Bearer ${tokens[user]}`] : []),
    ...Object.entries(given.headers ?? {}).map(([name, value]) => `${name}: ${fill(value, user)}`),
  ];
  if (body === undefined) return Buffer.from(`${head.join('\r\n')}\r\n\r\n`);
  if (!given.chunked) {
    head.push(`Content-Length: ${body.byteLength}`);
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
  }
  head.push('Transfer-Encoding: chunked');
  return Buffer.concat([
    Buffer.from(`${head.join('\r\n')}\r\n\r\n${body.byteLength.toString(16)}\r\n`),
    body,
    Buffer.from('\r\n0\r\n\r\n'),
  ]);
}

/** All that a request can leave behind. */
async function traces(user: string) {
  const { app } = gateway;
  const store = app.get<TaskStore>(TASK_STORE, { strict: false });
  const newest = (await store.list(user, { limit: 1 })).tasks[0]?.correlationId;
  const { ready } = await app.get<WorkQueue>(WORK_QUEUE, { strict: false }).depth();
  const { used } = await app.get<Quota>(QUOTA, { strict: false }).usage(user);
  return { newest, ready, used };
}

function checkEveryAnswer(given: HttpCase, request: Buffer, answer: RawAnswer): void {
  if (answer.status === null) return;
  expect(answer.status).toBeLessThan(500);
  expect(answer.count).toBe(1);
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  expect(answer.headers.has('x-powered-by')).toBe(false);
  expect(answer.headers.has('server')).toBe(false);
  if (given.auth === 'valid') expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(answer.headers.get('x-request-id') ?? '').toMatch(/^[\w.-]*$/);
  const bodyless = given.method === 'HEAD' || given.method === 'OPTIONS' || answer.status === 204;
  if (bodyless) return;
  expect(answer.headers.get('content-type')).toMatch(/^application\/(problem\+)?json; charset=utf-8$/);
  const json = JSON.parse(answer.body) as Record<string, unknown>;
  expect(json).toHaveProperty('status');
  const path = fill(given.path, userOf(given));
  contract.check(given.method, path, { status: answer.status, headers: answer.headers, body: answer.body });
  if (answer.status < 400) return;
  expect(json).toMatchObject({ status: answer.status, code: expect.any(String), title: expect.any(String) });
  expect(answer.body).not.toMatch(LEAKS);
  // Long runs of the request that come back in the answer.
  const sent = request.toString('utf8');
  for (let at = 0; at + 200 <= answer.body.length; at += 1) {
    if (sent.includes(answer.body.slice(at, at + 200))) throw new Error('echoes more than 200 characters');
  }
}

function checkExpected({ expect: expected }: HttpCase, answer: RawAnswer): void {
  expect([expected.status, ...(expected.or ?? [])]).toContain(answer.status ?? 'closed');
  for (const [name, value] of Object.entries(expected.present ?? {})) {
    expect(answer.headers.get(name)).toBe(fill(value, USER));
  }
  for (const name of expected.absent ?? []) expect(answer.headers.has(name)).toBe(false);
  if (expected.vary !== undefined) expect(answer.headers.get('vary')).toContain(expected.vary);
  for (const method of expected.methods_exclude ?? []) {
    expect(answer.headers.get('access-control-allow-methods') ?? '').not.toContain(method);
  }
}

describe('bad and good requests, byte for byte', () => {
  it.each(cases.map((given) => [given.id, given.title, given] as const))(
    '%s %s',
    async (_id, _title, given) => {
      const user = userOf(given);
      const quota = gateway.app.get<Quota>(QUOTA, { strict: false });
      if (given.fixture) await quota.reserve(user, 'spent-before', DAILY_LIMIT - given.fixture.ticks_left);
      const request = requestOf(given);
      const ids = new Set<unknown>();
      const before = await traces(user);
      for (let time = 0; time < (given.repeat ?? 1); time += 1) {
        const answer = await sendRaw(gateway.port, request, given.half_close);
        checkExpected(given, answer);
        checkEveryAnswer(given, request, answer);
        expect(answer.ms).toBeLessThan(1_000);
        const accepted = answer.status === 202;
        if (accepted) ids.add((JSON.parse(answer.body) as { correlation_id: string }).correlation_id);
        else expect(await traces(user)).toEqual(before);
      }
      if (given.repeat !== undefined) {
        expect(ids.size).toBe(1);
        expect(await traces(user)).toEqual({
          newest: [...ids][0],
          ready: before.ready + 1,
          used: before.used + 50,
        });
      }
      expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    },
  );

  it('serves on after all of them', async () => {
    const response = await fetch(`${gateway.origin}/health`);
    expect(response.status).toBe(200);
    expect(process.listenerCount('uncaughtException')).toBeLessThan(10);
  });
});
