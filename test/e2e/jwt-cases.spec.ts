import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Quota, QUOTA } from '../../src/ports/quota/quota.port.js';
import { type TaskStore, TASK_STORE } from '../../src/ports/task-store/task-store.port.js';
import { type WorkQueue, WORK_QUEUE } from '../../src/ports/work-queue/work-queue.port.js';
import { asCase, JWT_CASES, type JwtCase, JwtForge, publicJwk } from '../contract/identity.jwt-cases.js';
import { type GatewayApp } from '../support/gateway-app.js';
import { ManualClock } from '../support/manual-clock.js';
import { type RawAnswer, sendRaw } from '../support/raw-http.js';
import {
  ANON_KEY,
  startSupabaseProject as startProject,
  type SupabaseProject as Project,
  USER,
} from '../support/supabase-project.js';

/** What an answer never holds: stacks, file names, the reasons of libraries. */
const LEAKS =
  /\n {4}at |node_modules|\.ts:|\.js:|JWS|JWT[A-Z]|JOSE|signature|issuer|audience|"?aud"?[: ]|claim/;
/** An answer to a bad token; much more than it takes, for a machine that does much else. */
const PATIENCE_MS = 1_000;

const projects = new Map<string, Promise<Project>>();
/** The cases that change nothing about the project meet one gateway for each mode. */
function projectOf(mode: JwtCase['mode']): Promise<Project> {
  const project = projects.get(mode) ?? startProject(mode);
  projects.set(mode, project);
  return project;
}
afterAll(async () => {
  for (const project of projects.values()) await (await project).close();
});

const GOOD: JwtCase = {
  id: 'good',
  group: 'ok',
  title: '',
  mode: 'jwks',
  sign: 'es1',
  expect: { status: 200 },
};
const tokenOf = ({ clock, server }: Project, jwtCase: JwtCase): string =>
  new JwtForge(clock.now(), server.issuer).build(jwtCase);

interface Transport {
  readonly authorization: readonly string[];
  readonly cookie?: string;
  readonly body?: string;
}

/** The bytes of a request that presents a token as a case says. */
function requestOf(
  { gateway, task }: Project,
  method: 'GET' | 'POST',
  token: string,
  transport: Transport = { authorization: ['Bearer $T'] },
): Buffer {
  const fill = (text: string) => text.replaceAll('$T', token);
  const body = transport.body ?? (method === 'POST' ? '{"mandate":"m","max_ticks":5}' : undefined);
  const head = [
    `${method} /tasks${method === 'GET' ? `/${task}` : ''} HTTP/1.1`,
    `Host: 127.0.0.1:${gateway.port}`,
    'Connection: close',
    ...transport.authorization.map((value) => `Authorization: ${fill(value)}`),
    ...(transport.cookie === undefined ? [] : [`Cookie: ${fill(transport.cookie)}`]),
    ...(body === undefined
      ? []
      : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(fill(body))}`]),
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${fill(body ?? '')}`, 'latin1');
}

/** All that a request can leave behind. */
async function traces({ app }: GatewayApp) {
  const store = app.get<TaskStore>(TASK_STORE, { strict: false });
  const { ready } = await app.get<WorkQueue>(WORK_QUEUE, { strict: false }).depth();
  const { used } = await app.get<Quota>(QUOTA, { strict: false }).usage(USER);
  return { newest: (await store.list(USER, { limit: 1 })).tasks[0]?.correlationId, ready, used };
}

/** What holds for the answer to any token that is refused. */
function checkRefusal(answer: RawAnswer, presented: boolean): void {
  expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  const problem = JSON.parse(answer.body) as Record<string, unknown>;
  expect(problem).toMatchObject({ status: answer.status, code: expect.any(String) });
  expect(answer.body).not.toMatch(LEAKS);
  if (answer.status === 503) expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
  if (answer.status !== 401) return;
  const error = presented ? ', error="invalid_token"' : '';
  expect(answer.headers.get('www-authenticate')).toBe(`Bearer realm="euglena"${error}`);
  expect(problem.code).toBe('unauthenticated');
}

/** A part of the token that nobody else has: it must be nowhere in the log. */
function checkLog({ log }: Project, token: string, transport: Transport): void {
  const credentials = transport.authorization.map((value) =>
    value.replaceAll('$T', token).replace(/^\S+ +/, ''),
  );
  const secrets = [...token.split('.').slice(1), ...credentials, ANON_KEY].filter((text) => text.length > 15);
  for (const line of log) {
    for (const secret of secrets) expect(line.includes(secret)).toBe(false);
  }
}

async function prepare(project: Project, { fixture = {} }: JwtCase): Promise<void> {
  const { server } = project;
  const warm = async () => {
    const answer = await sendRaw(project.gateway.port, requestOf(project, 'GET', tokenOf(project, GOOD)));
    expect(answer.status).toBe(200);
  };
  if (fixture.auth_user) server.user.answer({ body: fixture.auth_user });
  if (fixture.jwks_adds === 'es2-standby') {
    await warm();
    server.keySet.publish([publicJwk('es1'), publicJwk('rs1'), publicJwk('es2-standby')]);
  }
  if (fixture.jwks === 'down-warm') await warm();
  if (fixture.jwks === 'down-warm' || fixture.jwks === 'down-cold') server.keySet.answer('down');
  if (fixture.jwks === 'html')
    server.keySet.answer({ body: '<html></html>', headers: { 'content-type': 'text/html' } });
  if (fixture.jwks === 'hang') server.keySet.answer('hold');
}

async function runCase(project: Project, jwtCase: JwtCase): Promise<void> {
  await prepare(project, jwtCase);
  const { gateway, server } = project;
  const { status, or = [] } = jwtCase.expect;
  const transport = (jwtCase.transport ?? { authorization: ['Bearer $T'] }) as unknown as Transport;
  const before = await traces(gateway);
  const asked = server.user.requests.length;
  const token = tokenOf(project, jwtCase);
  const send = (method: 'GET' | 'POST') =>
    sendRaw(gateway.port, requestOf(project, method, token, transport));
  const answer = await send('GET');
  expect([status, ...or]).toContain(answer.status);
  expect(answer.ms).toBeLessThan(jwtCase.maxMs ?? PATIENCE_MS);
  expect(answer.count).toBe(1);
  if (answer.status === 200) {
    expect(JSON.parse(answer.body)).toMatchObject({ correlation_id: project.task });
    return;
  }
  // 431: the HTTP parser refuses it, and no one looks at the token.
  if (answer.status !== 431) checkRefusal(answer, transport.authorization.length > 0);
  const submission = await send('POST');
  expect([status, ...or]).toContain(submission.status);
  expect(await traces(gateway)).toEqual(before);
  if (jwtCase.fixture?.auth_user === undefined) expect(server.user.requests).toHaveLength(asked);
  expect(server.others).toEqual([]);
  checkLog(project, token, transport);
}

/** Many tokens, each with another key that nobody knows. */
async function runFlood(project: Project, jwtCase: JwtCase): Promise<void> {
  const times: number[] = [];
  for (let sent = 0; sent < (jwtCase.repeat ?? 0); sent += 20) {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        sendRaw(project.gateway.port, requestOf(project, 'GET', tokenOf(project, jwtCase))),
      ),
    );
    for (const answer of answers) {
      expect(answer.status).toBe(jwtCase.expect.status);
      times.push(answer.ms);
    }
  }
  expect(project.server.keySet.requests.length).toBeLessThanOrEqual(2);
  expect(times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)]).toBeLessThan(PATIENCE_MS);
}

const isAlone = ({ fixture, env, repeat }: JwtCase) =>
  fixture !== undefined || env !== undefined || repeat !== undefined;
const named = (cases: readonly JwtCase[]) =>
  cases.map((jwtCase): [string, string, JwtCase] => [jwtCase.id, jwtCase.title, jwtCase]);

describe('tokens to a gateway', () => {
  it('are all those of the corpus', () => {
    expect(JWT_CASES).toHaveLength(109);
    expect(new Set(JWT_CASES.map(({ assert }) => assert))).toEqual(
      new Set([undefined, 'no-egress', 'not-logged', 'jwks-fetches<=2']),
    );
  });

  it.each(named(JWT_CASES.filter((jwtCase) => !isAlone(jwtCase))))('%s %s', async (_id, _title, jwtCase) =>
    runCase(await projectOf(jwtCase.mode), jwtCase),
  );

  it.each(named(JWT_CASES.filter(isAlone)))('%s %s', async (_id, _title, jwtCase) => {
    const project = await startProject(jwtCase.mode, { SUPABASE_ALLOW_UNCONFIRMED: 'true', ...jwtCase.env });
    const run = jwtCase.repeat === undefined ? runCase : runFlood;
    await run(project, jwtCase).finally(() => project.close());
  });

  it('serves on after all of them', async () => {
    const project = await projectOf('jwks');
    const answer = await sendRaw(project.gateway.port, requestOf(project, 'GET', tokenOf(project, GOOD)));
    expect(answer.status).toBe(200);
    expect(project.server.keySet.requests.length).toBeLessThanOrEqual(3);
  });

  it('with anything changed, in any header, are refused and nothing breaks', async () => {
    const project = await projectOf('both');
    const token = tokenOf(project, { ...GOOD, mode: 'both' });
    const byte = fc.constantFrom(...'abcXYZ019-_.=+/,:; \t"\\\u00e9\u00ff\u0080');
    const changed = fc
      .record({ at: fc.nat(token.length - 1), drop: fc.nat(3), put: fc.string({ unit: byte, maxLength: 3 }) })
      .map(({ at, drop, put }) => token.slice(0, at) + put + token.slice(at + drop))
      // White space around a field's value is not part of it.
      .filter((text) => text.trim() !== token);
    const anything = fc.string({ unit: byte, maxLength: 200 });
    const value = fc.oneof(
      changed.map((text) => `Bearer ${text}`),
      anything.map((text) => `Bearer ${text}`),
      fc.tuple(anything, anything).map(([before, after]) => `${before} ${token} ${after}`),
      anything,
    );
    // A good header alone may come out of it, too.
    const bad = value.filter((text) => !/^bearer +\S+ *$/i.test(text.trim()) || !text.trim().endsWith(token));
    await fc.assert(
      fc.asyncProperty(bad, async (text) => {
        const answer = await sendRaw(
          project.gateway.port,
          requestOf(project, 'GET', token, { authorization: [text] }),
        );
        expect([400, 401]).toContain(answer.status);
        expect(answer.body).not.toMatch(LEAKS);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a project whose Auth server changes', () => {
  let project: Project;
  afterEach(() => project.close());

  const statusOf = async (token: string) =>
    (await sendRaw(project.gateway.port, requestOf(project, 'GET', token))).status;
  const issue = (sign: string, n: number) => tokenOf(project, { ...GOOD, sign, claims: asCase({ jti: n }) });

  it('rotates its key: the new one is followed at once, the old one is good until it is withdrawn and 10 minutes longer', async () => {
    const clock = new ManualClock();
    project = await startProject('jwks', undefined, clock);
    const old = issue('es1', 1);
    expect(await statusOf(old)).toBe(200);
    project.server.keySet.publish([publicJwk('es1'), publicJwk('es2-standby')]);
    expect(await statusOf(issue('es2-standby', 2))).toBe(200);
    expect(await statusOf(old)).toBe(200);
    project.server.keySet.publish([publicJwk('es2-standby')]);
    expect(await statusOf(old)).toBe(200);
    clock.advance(10 * 60_000);
    expect(await statusOf(old)).toBe(401);
    expect(await statusOf(issue('es1', 3))).toBe(401);
    expect(await statusOf(issue('es2-standby', 4))).toBe(200);
  });

  it('goes away: who was let in stays in for 5 minutes, others get 503, and all come in when it is back', async () => {
    const clock = new ManualClock();
    project = await startProject('jwks', { SUPABASE_ALLOW_UNCONFIRMED: '' }, clock);
    const other = (n: number) =>
      tokenOf(project, {
        ...GOOD,
        claims: asCase({ session_id: `33333333-3333-4333-8333-00000000000${n}` }),
      });
    expect(await statusOf(issue('es1', 1))).toBe(200);
    project.server.keySet.answer('down');
    project.server.user.answer('down');
    expect(await statusOf(issue('es1', 2))).toBe(200);
    expect(await statusOf(other(1))).toBe(503);
    expect(await statusOf(issue('attacker-es', 3))).toBe(401);
    clock.advance(5 * 60_000);
    expect(await statusOf(issue('es1', 4))).toBe(503);
    project.server.user.answer({ body: { email_confirmed_at: '2026-01-01T00:00:00Z' } });
    expect(await statusOf(issue('es1', 5))).toBe(200);
    expect(await statusOf(other(2))).toBe(200);
  });
});
