import { Duration } from 'aws-cdk-lib/core';
import { type IRepository } from 'aws-cdk-lib/aws-ecr';
import {
  type CfnService,
  type ContainerDefinition,
  ContainerImage,
  type FargateService,
  type FargateTaskDefinition,
  LinuxParameters,
  Capability,
  type LogDriver,
  Secret,
} from 'aws-cdk-lib/aws-ecs';
import { type ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { PORTS, QUEUE } from './names.js';

/** What the roles in a container have in common. */
export const KNOWN_TO_ALL = {
  base: { QUEUE_NAME: QUEUE, ENGINE_WAIT_SECONDS: '120', LOG_LEVEL: 'info' },
  /** The role works with AWS itself: metrics with CloudWatch, agents with task protection. */
  ecs: { ECS_ENABLED: 'true' },
} as const;

export interface OwnContainer {
  readonly role: 'gateway' | 'metrics' | 'agent';
  readonly repository: IRepository;
  readonly imageTag: string;
  readonly cpu: number;
  readonly memoryMiB: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, Secret>>;
  readonly stopTimeout: Duration;
  /** Whether its end ends the task. Default: yes. */
  readonly essential?: boolean;
  /** Whether it is started again in its task when it ends by itself. */
  readonly restarts: boolean;
  readonly logging: LogDriver;
}

/** A container that runs a role of Euglena: without a right, on files that it cannot change. */
export function ownContainer(task: FargateTaskDefinition, container: OwnContainer): ContainerDefinition {
  const { role, repository, imageTag, memoryMiB, environment, restarts, ...rest } = container;
  const linuxParameters = new LinuxParameters(task, `${role}Linux`, { initProcessEnabled: true });
  linuxParameters.dropCapabilities(Capability.ALL);
  return task.addContainer(role, {
    ...rest,
    containerName: role,
    image: ContainerImage.fromEcrRepository(repository, imageTag),
    command: ['--role', role],
    memoryLimitMiB: memoryMiB,
    portMappings: [{ containerPort: PORTS[role] }],
    // The containers of a task share their ports, so the health check has to be told which one it is about.
    environment: { EUGLENA_ROLE: role, PORT: String(PORTS[role]), ...KNOWN_TO_ALL.base, ...environment },
    healthCheck: {
      command: ['CMD', 'node', 'deploy/health-check.js'],
      interval: Duration.seconds(10),
      timeout: Duration.seconds(5),
      retries: 3,
      startPeriod: Duration.seconds(180),
    },
    readonlyRootFilesystem: true,
    linuxParameters,
    enableRestartPolicy: restarts,
  });
}

/** Each key by itself: a container never sees the others. */
export function secretsFor(keys: readonly string[], secret: ISecret): Record<string, Secret> {
  return Object.fromEntries(keys.map((key) => [key, Secret.fromSecretsManager(secret, key)]));
}

/** ECS would stop tasks to spread them over zones: the gateway has one, and agents are stopped by the autoscaler only. */
export function noBusyMoves(service: FargateService): void {
  (service.node.findChild('Service') as CfnService).availabilityZoneRebalancing = 'DISABLED';
}
