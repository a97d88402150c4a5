import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EcsFleet } from '../../src/ports/fleet/ecs-fleet.js';
import { type AwsServer, startAwsServer } from '../support/servers/aws-server.js';
import { withEnvironment } from '../support/with-environment.js';
import { fleetContract } from './fleet.contract.js';

const CLUSTER = 'euglena-cluster';
const SERVICE = 'euglena-agent';
const NAME = { cluster: CLUSTER, name: SERVICE };

fleetContract('ECS service', async () => {
  const server = await startAwsServer();
  const restore = withEnvironment(server.environment);
  server.ecs.create(CLUSTER, SERVICE);
  return {
    fleet: new EcsFleet(server, NAME),
    workers: async () => server.ecs.running(CLUSTER, SERVICE).sort(),
    kill: async (worker) => server.ecs.kill(worker),
    close: async () => {
      restore();
      await server.close();
    },
  };
});

// Which calls are made, and what a service's state means, are ECS's own.
describe('a fleet that is an ECS service', () => {
  let server: AwsServer;
  let fleet: EcsFleet;
  let restore: () => void;

  beforeEach(async () => {
    server = await startAwsServer();
    restore = withEnvironment(server.environment);
    server.ecs.create(CLUSTER, SERVICE, 3);
    fleet = new EcsFleet(server, NAME);
  });
  afterEach(async () => {
    await fleet.close();
    restore();
    await server.close();
  });

  const operations = () => server.calls.map(({ operation }) => operation);

  it('updates the service for a change, and only then', async () => {
    await fleet.setDesired(3);
    expect(operations()).toEqual(['DescribeServices']);
    await fleet.setDesired(5);
    expect(operations()).toEqual(['DescribeServices', 'DescribeServices', 'UpdateService']);
    expect(server.calls.at(-2)?.input).toEqual({ cluster: CLUSTER, services: [SERVICE] });
    expect(server.calls.at(-1)?.input).toEqual({ cluster: CLUSTER, service: SERVICE, desiredCount: 5 });
  });

  it('counts the tasks that are still to start', async () => {
    server.ecs.stuck = true;
    await fleet.setDesired(4);
    const states = [];
    for (let pending = -1; pending !== 4; pending = states.at(-1)?.pending ?? -1)
      states.push(await fleet.state());
    expect(states.at(-1)).toEqual({ desired: 4, running: 0, pending: 4 });
  });

  it.each(['DRAINING', 'INACTIVE'] as const)('is no fleet while the service is %s', async (status) => {
    server.ecs.setStatus(CLUSTER, SERVICE, status);
    const refusal = {
      code: 'engine_unavailable',
      message: `ECS: the service euglena-agent of cluster euglena-cluster is ${status.toLowerCase()}.`,
    };
    await expect(fleet.state()).rejects.toMatchObject(refusal);
    await expect(fleet.setDesired(1)).rejects.toMatchObject(refusal);
    await expect(fleet.ping()).rejects.toMatchObject(refusal);
    expect(operations()).not.toContain('UpdateService');
    server.ecs.setStatus(CLUSTER, SERVICE, 'ACTIVE');
    await fleet.state();
    await expect(fleet.ping()).resolves.toBeUndefined();
  });

  it('is no fleet without the service, or the cluster', async () => {
    const nobody = new EcsFleet(server, { cluster: CLUSTER, name: 'nobody' });
    await expect(nobody.state()).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: 'ECS: the service nobody of cluster euglena-cluster does not exist.',
    });
    await nobody.close();
    const nowhere = new EcsFleet(server, { cluster: 'nowhere', name: SERVICE });
    await expect(nowhere.state()).rejects.toMatchObject({ code: 'engine_unavailable' });
    await nowhere.close();
  });

  it('survives throttling and a broken connection, three attempts each', async () => {
    for (const trouble of [{ status: 400, name: 'ThrottlingException' }, 'cut'] as const) {
      let failures = 2;
      server.disturb(() => (failures-- > 0 ? trouble : null));
      expect((await fleet.state()).desired).toBe(3);
    }
    expect(operations()).toHaveLength(6);
  });
});
