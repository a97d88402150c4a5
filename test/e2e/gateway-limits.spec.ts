import { afterEach, describe, expect, it } from '@jest/globals';
import { PRESENCE, type Presence } from '../../src/ports/presence/presence.port.js';
import { QUOTA, type Quota } from '../../src/ports/quota/quota.port.js';
import { TASK_STORE, type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { WORK_QUEUE, type WorkQueue } from '../../src/ports/work-queue/work-queue.port.js';
import { type GatewayApp, startGateway } from '../support/gateway-app.js';
import { ManualClock } from '../support/manual-clock.js';
import { claimAndAnswer } from '../support/scripted-agent.js';

const USER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const NEIGHBOUR = 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb';
/** Tokens are checked against the real time, so that the clock starts there. */
const now = () => new ManualClock(Date.now());

let gateway: GatewayApp;
afterEach(() => gateway.close());

function caller(token: string) {
  return (path: string, body?: object, headers: Record<string, string> = {}) =>
    fetch(`${gateway.origin}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
}
const codeOf = async (response: Response) => ((await response.json()) as { code?: string }).code;
const of = <T>(port: symbol) => gateway.app.get<T>(port, { strict: false });

describe('the rate of requests', () => {
  it('is limited for each user, on all routes together, and recovers', async () => {
    const clock = now();
    gateway = await startGateway({ env: { RATE_LIMIT_PER_MINUTE: '4' }, clock });
    const [mine, theirs] = [caller(await gateway.token(USER)), caller(await gateway.token(NEIGHBOUR))];
    const first = await mine('/quota');
    expect(first.headers.get('ratelimit-policy')).toBe('"user";q=4;w=60');
    expect(first.headers.get('ratelimit')).toBe('"user";r=3;t=15');
    expect((await mine('/tasks')).status).toBe(200);
    expect((await mine('/tasks', { mandate: 'x' })).status).toBe(202);
    expect((await mine('/tasks/none')).status).toBe(404);
    const beyond = await mine('/quota');
    expect([beyond.status, beyond.headers.get('retry-after'), await codeOf(beyond)]).toEqual([
      429,
      '15',
      'rate_limited',
    ]);
    expect(beyond.headers.get('ratelimit')).toBe('"user";r=0;t=60');
    expect((await theirs('/quota')).status).toBe(200);
    clock.advance(15_000);
    expect([(await mine('/quota')).status, (await mine('/quota')).status]).toEqual([200, 429]);
  });

  it('stores, queues and reserves nothing beyond it', async () => {
    gateway = await startGateway({ env: { RATE_LIMIT_PER_MINUTE: '1' }, clock: now() });
    const mine = caller(await gateway.token(USER));
    await mine('/quota');
    expect((await mine('/tasks', { mandate: 'x' })).status).toBe(429);
    expect((await of<TaskStore>(TASK_STORE).list(USER, { limit: 5 })).tasks).toEqual([]);
    expect((await of<WorkQueue>(WORK_QUEUE).depth()).ready).toBe(0);
    expect((await of<Quota>(QUOTA).usage(USER)).used).toBe(0);
  });

  it('is limited for failures of an address, which keeps nobody with a good token out', async () => {
    const clock = now();
    gateway = await startGateway({ env: { RATE_LIMIT_PER_MINUTE: '3' }, clock });
    const [mine, forged] = [caller(await gateway.token(USER)), caller('nonsense')];
    const statuses = [];
    for (let time = 0; time < 32; time += 1) statuses.push((await forged('/quota')).status);
    expect(statuses).toEqual([...Array.from({ length: 30 }, () => 401), 429, 429]);
    const beyond = await forged('/tasks');
    expect([beyond.headers.get('retry-after'), await codeOf(beyond)]).toEqual(['2', 'rate_limited']);
    expect((await mine('/quota')).status).toBe(200);
    expect((await fetch(`${gateway.origin}/health/live`)).status).toBe(200);
    clock.advance(2_000);
    expect((await forged('/quota')).status).toBe(401);
  });
});

describe('the number of active tasks', () => {
  it('is limited for each user, exactly, however many come at once', async () => {
    gateway = await startGateway({ env: { USER_MAX_ACTIVE_TASKS: '5', DAILY_TICK_LIMIT: '10000' } });
    const [mine, theirs] = [caller(await gateway.token(USER)), caller(await gateway.token(NEIGHBOUR))];
    const body = { mandate: 'x', max_ticks: 10 };
    const answers = await Promise.all(Array.from({ length: 40 }, () => mine('/tasks', body)));
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(5);
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(35);
    expect(refused.every(({ headers }) => headers.get('retry-after') === '10')).toBe(true);
    expect(await codeOf(refused[0] as Response)).toBe('too_many_active_tasks');
    expect((await of<Quota>(QUOTA).usage(USER)).used).toBe(50);
    expect((await of<WorkQueue>(WORK_QUEUE).depth()).ready).toBe(5);
    expect((await theirs('/tasks', body)).status).toBe(202);
    const [first] = (await of<TaskStore>(TASK_STORE).list(USER, { limit: 1 })).tasks;
    await mine(`/tasks/${first?.correlationId}/cancel`, {});
    expect((await mine('/tasks', body)).status).toBe(202);
  });
});

describe('the daily quota', () => {
  it('takes as many of 200 submissions at once as it covers', async () => {
    gateway = await startGateway({ env: { RATE_LIMIT_PER_MINUTE: '1000' } });
    const mine = caller(await gateway.token(USER));
    const body = { mandate: 'x', max_ticks: 50 };
    const answers = await Promise.all(Array.from({ length: 200 }, () => mine('/tasks', body)));
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(5);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(195);
    expect((await of<Quota>(QUOTA).usage(USER)).used).toBe(250);
    expect((await of<WorkQueue>(WORK_QUEUE).depth()).ready).toBe(5);
  });
});

describe('a key', () => {
  it('sent 50 times at once makes one task, which every answer shows', async () => {
    gateway = await startGateway();
    const mine = caller(await gateway.token(USER));
    const key = { 'idempotency-key': 'order-17' };
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => mine('/tasks', { mandate: 'x', max_ticks: 50 }, key)),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    const bodies = await Promise.all(answers.map((answer) => answer.json()));
    expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1);
    expect((await of<TaskStore>(TASK_STORE).list(USER, { limit: 10 })).tasks).toHaveLength(1);
    expect((await of<WorkQueue>(WORK_QUEUE).depth()).ready).toBe(1);
    expect((await of<Quota>(QUOTA).usage(USER)).used).toBe(50);
  });
});

describe('a dry run', () => {
  const dryRun = async (token: string, body: object = { mandate: 'x', max_ticks: 50 }) =>
    (await caller(token)('/tasks?dry_run=true', body)).json();

  it('says what would become of the task, and leaves nothing', async () => {
    gateway = await startGateway();
    const token = await gateway.token(USER);
    expect(await dryRun(token)).toEqual({
      dry_run: true,
      would_be_accepted: true,
      refusal: null,
      position: 0,
      estimated_wait_seconds: null,
      worst_case_ticks: 50,
      quota: { limit: 256, used: 50, remaining: 206, resets_at: expect.stringMatching(/T00:00:00.000Z$/) },
    });
    expect((await of<TaskStore>(TASK_STORE).list(USER, { limit: 5 })).tasks).toEqual([]);
    expect((await of<WorkQueue>(WORK_QUEUE).depth()).ready).toBe(0);
    expect((await of<Quota>(QUOTA).usage(USER)).used).toBe(0);
  });

  it('knows the position, and the wait by the agents that live and the user’s last tasks', async () => {
    gateway = await startGateway();
    const token = await gateway.token(USER);
    const mine = caller(token);
    const submitted = await mine('/tasks', { mandate: 'x', max_ticks: 10 });
    const { correlation_id: id } = (await submitted.json()) as { correlation_id: string };
    await claimAndAnswer(of<TaskStore>(TASK_STORE), id);
    await mine('/tasks', { mandate: 'y', max_ticks: 10 });
    expect(await dryRun(token)).toMatchObject({ position: 2, estimated_wait_seconds: null });
    const worker = {
      workerId: 'w',
      state: 'working',
      running: 1,
      capacity: 4,
      pid: 1,
      startedAt: 0,
    } as const;
    await of<Presence>(PRESENCE).beat(worker, 60_000);
    expect(await dryRun(token)).toMatchObject({ position: 2, estimated_wait_seconds: 0 });
    await of<Presence>(PRESENCE).beat({ ...worker, running: 4 }, 60_000);
    const { estimated_wait_seconds: wait } = (await dryRun(token)) as { estimated_wait_seconds: number };
    expect(wait).toBeGreaterThanOrEqual(0);
    expect(wait).toBeLessThan(60);
  });

  it('says why the task would be refused, by the code of that refusal', async () => {
    gateway = await startGateway({ env: { USER_MAX_ACTIVE_TASKS: '1', DAILY_TICK_LIMIT: '60' } });
    const token = await gateway.token(USER);
    await caller(token)('/tasks', { mandate: 'x', max_ticks: 20 });
    expect(await dryRun(token)).toMatchObject({
      would_be_accepted: false,
      refusal: 'quota_exceeded',
      quota: { used: 20, remaining: 40 },
    });
    expect(await dryRun(token, { mandate: 'x', max_ticks: 5 })).toMatchObject({
      would_be_accepted: false,
      refusal: 'too_many_active_tasks',
    });
  });

  it('refuses what a submission would refuse for its words', async () => {
    gateway = await startGateway();
    const mine = caller(await gateway.token(USER));
    const statuses = [
      (await mine('/tasks?dry_run=true', { mandate: '' })).status,
      (await mine('/tasks?dry_run=true', { mandate: 'x' }, { 'idempotency-key': 'a b' })).status,
      (await mine('/tasks?dry_run=maybe', { mandate: 'x' })).status,
      (await mine('/tasks?dry_run=true&dry_run=true', { mandate: 'x' })).status,
      (await mine('/tasks?dry_run=', { mandate: 'x' })).status,
    ];
    expect(statuses).toEqual([422, 422, 422, 422, 422]);
    expect((await mine('/tasks?dry_run=false', { mandate: 'x' })).status).toBe(202);
  });
});
