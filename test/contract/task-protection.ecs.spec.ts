import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { EcsTaskProtection } from '../../src/ports/task-protection/ecs-task-protection.js';
import { ManualClock } from '../support/manual-clock.js';
import { type AwsServer, startAwsServer } from '../support/servers/aws-server.js';
import { eventually } from '../support/eventually.js';

const [CLUSTER, SERVICE] = ['euglena-cluster', 'euglena-agent'];
const MINUTE_MS = 60_000;

Logger.overrideLogger(false);

describe('the protection of an ECS task', () => {
  let clock: ManualClock;
  let server: AwsServer;
  let task: string;
  let protection: EcsTaskProtection;

  beforeEach(async () => {
    clock = new ManualClock();
    server = await startAwsServer();
    server.ecs.create(CLUSTER, SERVICE, 2);
    task = await eventually('a task', () => server.ecs.running(CLUSTER, SERVICE)[0]);
    protection = new EcsTaskProtection(server.agentUri(task), clock, 500);
  });
  afterEach(async () => {
    await protection.close();
    await server.close();
  });

  const asked = () => server.calls.filter(({ operation }) => operation === 'PUT TaskProtection');
  const scaleTo = (count: number) =>
    server.ecs.updateService({ cluster: CLUSTER, service: SERVICE, desiredCount: count });
  const isGone = () => !server.ecs.running(CLUSTER, SERVICE).includes(task);

  it('keeps the task from being stopped, until it is taken back', async () => {
    expect(await protection.protect(10)).toBe(true);
    expect(asked()[0]?.input).toEqual({ ProtectionEnabled: true, ExpiresInMinutes: 10 });
    expect(asked()[0]?.headers['content-type']).toBe('application/json');
    scaleTo(0);
    await eventually('the other task is stopped', () => server.ecs.running(CLUSTER, SERVICE).length === 1);
    expect(isGone()).toBe(false);
    await protection.unprotect();
    expect(asked()[1]?.input).toEqual({ ProtectionEnabled: false });
    await eventually('it is stopped', isGone);
  });

  it('is asked for again when half of its time is over, and not before', async () => {
    await protection.protect(10);
    clock.advance(5 * MINUTE_MS);
    await protection.protect(10);
    expect(asked()).toHaveLength(1);
    clock.advance(1);
    expect(await protection.protect(10)).toBe(true);
    expect(asked()).toHaveLength(2);
  });

  it('is asked for anew after it was taken back, and taken back once', async () => {
    await protection.unprotect();
    expect(asked()).toHaveLength(0);
    await Promise.all([protection.protect(10), protection.unprotect(), protection.protect(10)]);
    await protection.unprotect();
    await protection.unprotect();
    expect(asked().map(({ input }) => input['ProtectionEnabled'])).toEqual([true, false, true, false]);
  });

  it.each([
    ['the platform blocks it', { status: 200, name: 'DEPLOYMENT_BLOCKED' }],
    ['it is refused', { status: 403, name: 'AccessDeniedException' }],
    ['the agent fails', { status: 500, name: 'ServerException' }],
    ['there is no answer', 'hang'],
    ['the connection breaks', 'cut'],
  ] as const)(
    'is not had when %s; a task that was protected stays so until its time is over',
    async (_, trouble) => {
      await protection.protect(10);
      clock.advance(6 * MINUTE_MS);
      server.disturb(() => trouble);
      expect(await protection.protect(10)).toBe(true);
      clock.advance(4 * MINUTE_MS);
      expect(await protection.protect(10)).toBe(false);
      await protection.unprotect();
      expect(await protection.protect(10)).toBe(false);
      server.disturb(null);
      expect(await protection.protect(10)).toBe(true);
    },
  );

  it('is not had where no agent listens', async () => {
    const nobody = new EcsTaskProtection('http://127.0.0.1:1', clock);
    expect(await nobody.protect(10)).toBe(false);
    await nobody.unprotect();
    await nobody.close();
  });
});
