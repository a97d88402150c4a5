import { DescribeServicesCommand, ECSClient, UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { EuglenaError } from '../../domain/errors.js';
import { AwsCalls, type AwsPlace, clientSettings } from '../aws/aws-calls.js';
import { type Fleet, type FleetState } from './fleet.port.js';

export interface EcsServiceName {
  readonly cluster: string;
  readonly name: string;
}

/**
 * The agents as an Amazon ECS service. ECS starts and stops them, never one whose task is protected, and replaces those that
 * die. A service that is not there, or not active, is no fleet: its count is neither read nor set.
 */
export class EcsFleet implements Fleet {
  private readonly client: ECSClient;
  private readonly calls = new AwsCalls('ECS');

  constructor(
    place: AwsPlace,
    private readonly service: EcsServiceName,
  ) {
    this.client = new ECSClient(clientSettings(place));
  }

  state(): Promise<FleetState> {
    return this.calls.call((signal) => this.describe(signal));
  }

  async setDesired(count: number): Promise<void> {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new RangeError(`a fleet has a whole number of workers, not ${count}`);
    }
    const { cluster, name } = this.service;
    await this.calls.call(async (abortSignal) => {
      const { desired } = await this.describe(abortSignal);
      if (desired === count) return;
      const command = new UpdateServiceCommand({ cluster, service: name, desiredCount: count });
      await this.client.send(command, { abortSignal });
    });
  }

  ping(): Promise<void> {
    return this.calls.ping();
  }

  /** The service lives on: only this process's connections end. */
  async close(): Promise<void> {
    this.client.destroy();
  }

  private async describe(abortSignal: AbortSignal): Promise<FleetState> {
    const { cluster, name } = this.service;
    const command = new DescribeServicesCommand({ cluster, services: [name] });
    const { services = [] } = await this.client.send(command, { abortSignal });
    const [service] = services;
    if (service === undefined) throw this.unusable('does not exist');
    if (service.status !== 'ACTIVE')
      throw this.unusable(`is ${service.status?.toLowerCase() ?? 'in no state'}`);
    const { desiredCount: desired, runningCount: running, pendingCount: pending } = service;
    if (desired === undefined || running === undefined || pending === undefined) {
      throw this.unusable('has no counts');
    }
    return { desired, running, pending };
  }

  private unusable(what: string): EuglenaError {
    const { cluster, name } = this.service;
    return new EuglenaError('engine_unavailable', `ECS: the service ${name} of cluster ${cluster} ${what}.`);
  }
}
