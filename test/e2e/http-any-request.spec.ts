import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { QUOTA, type Quota } from '../../src/ports/quota/quota.port.js';
import { TASK_STORE, type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { WORK_QUEUE, type WorkQueue } from '../../src/ports/work-queue/work-queue.port.js';
import { ApiContract } from '../support/api-contract.js';
import { type GatewayApp, startGateway } from '../support/gateway-app.js';
import { sendRaw } from '../support/raw-http.js';

const USER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const RUNS = { numRuns: 200 };
/** What an answer never holds: stacks, file names, the framework's own codes. */
const LEAKS = /\n {4}at |node_modules|\.ts:|\.js:|FST_ERR|SyntaxError|HPE_/;

const contract = new ApiContract();
let gateway: GatewayApp;
let token: string;
beforeAll(async () => {
  const env = {
    DAILY_TICK_LIMIT: '1000000',
    USER_MAX_ACTIVE_TASKS: '100000',
    RATE_LIMIT_PER_MINUTE: '1000000',
  };
  gateway = await startGateway({ env });
  token = await gateway.token(USER);
});
afterAll(() => gateway.close());

/** All that a request can leave behind. */
async function traces() {
  const { app } = gateway;
  const { ready } = await app.get<WorkQueue>(WORK_QUEUE, { strict: false }).depth();
  const { used } = await app.get<Quota>(QUOTA, { strict: false }).usage(USER);
  const active = await app.get<TaskStore>(TASK_STORE, { strict: false }).active(USER);
  return { ready, used, active };
}

/** Sends a request and fails when it is answered by a fault, with a leak, unlike the document, or with a trace it must not leave. */
async function send(path: string, body: Buffer, headers: readonly string[] = []): Promise<number | null> {
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: close',
    `Authorization: Bearer ${token}`,
    `Content-Length: ${body.byteLength}`,
    ...headers,
  ];
  const before = await traces();
  const request = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), body]);
  const answer = await sendRaw(gateway.port, request);
  const { status } = answer;
  expect(status).not.toBeNull();
  expect(status).toBeLessThan(500);
  expect(answer.body).not.toMatch(LEAKS);
  contract.check('POST', path, { ...answer, status: status ?? 0 });
  const after = await traces();
  if (status === 202) {
    expect({ ...after, used: 0 }).toEqual({ ready: before.ready + 1, active: before.active + 1, used: 0 });
    expect(after.used - before.used).toBe((JSON.parse(answer.body) as { max_ticks: number }).max_ticks);
  } else expect(after).toEqual(before);
  return status;
}

const JSON_TYPE = 'Content-Type: application/json';
const sendJson = (path: string, value: unknown) =>
  send(path, Buffer.from(JSON.stringify(value) ?? ''), [JSON_TYPE]);

/** Objects that look like a submission, more or less. */
const almostSubmission = fc.record(
  {
    mandate: fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.jsonValue()),
    max_ticks: fc.oneof(fc.integer({ min: -5, max: 400 }), fc.double(), fc.jsonValue()),
    [Symbol.for('more')]: fc.jsonValue(),
  },
  { requiredKeys: [] },
);
/** What may stand in a header line, and then some. */
const headerValue = fc.string({
  unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)),
  maxLength: 300,
});

describe('whatever is sent to POST /tasks', () => {
  it('any bytes as a body are taken or refused, never a fault, and leave a trace only when taken', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        expect(await send('/tasks', Buffer.from(bytes), [JSON_TYPE])).toBeGreaterThanOrEqual(400);
      }),
      RUNS,
    );
  });

  it('any JSON is taken or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ maxDepth: 8 }), async (value) => {
        await sendJson('/tasks', value);
      }),
      RUNS,
    );
  });

  it('anything like a submission is taken exactly when it is one', async () => {
    const visible = (text: string) =>
      /[^\p{Cc}\p{Cf}\p{Cs}\p{Z}\p{DI}\u2800]/u.test(text) && !/\p{Cs}/u.test(text);
    await fc.assert(
      fc.asyncProperty(almostSubmission, async (body) => {
        const { mandate, max_ticks: ticks = 50 } = body as { mandate?: unknown; max_ticks?: unknown };
        const good =
          typeof mandate === 'string' &&
          visible(mandate) &&
          Number.isInteger(ticks) &&
          (ticks as number) >= 1 &&
          (ticks as number) <= 200;
        // JSON has no -0, NaN or infinities: they are sent as 0 and null.
        expect(await sendJson('/tasks', body)).toBe(good ? 202 : 422);
      }),
      RUNS,
    );
  });

  it('any headers are taken or refused', async () => {
    const names = [
      'Idempotency-Key',
      'traceparent',
      'X-Request-Id',
      'Content-Type',
      'Accept',
      'Origin',
      'Cookie',
    ];
    const line = fc.record({ name: fc.constantFrom(...names), value: headerValue });
    const body = Buffer.from('{"mandate":"x","max_ticks":1}');
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 4 }), async (lines) => {
        await send('/tasks', body, [JSON_TYPE, ...lines.map(({ name, value }) => `${name}: ${value}`)]);
      }),
      RUNS,
    );
  });

  it('any query is taken or refused', async () => {
    const pair = fc.tuple(
      fc.oneof(fc.constant('dry_run'), fc.string()),
      fc.oneof(fc.constant('true'), fc.string()),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(pair, { maxLength: 3 }), async (pairs) => {
        const query = pairs.map(
          ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
        );
        await sendJson(`/tasks?${query.join('&')}`, { mandate: 'x', max_ticks: 1 });
      }),
      RUNS,
    );
  });
});

it('whatever is sent to POST /tasks/{id}/extend is refused without a task, never a fault', async () => {
  const id = fc.oneof(fc.uuid(), fc.string({ minLength: 1, maxLength: 40 }).map(encodeURIComponent));
  await fc.assert(
    fc.asyncProperty(id, fc.jsonValue(), async (which, value) => {
      fc.pre(!/^(\.|%2e){1,2}$/i.test(which));
      expect(await sendJson(`/tasks/${which}/extend`, { ticks: value })).toBeGreaterThanOrEqual(404);
    }),
    RUNS,
  );
});
