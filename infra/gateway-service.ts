import { Duration } from 'aws-cdk-lib/core';
import { type IVpc, SubnetType } from 'aws-cdk-lib/aws-ec2';
import { type IRepository } from 'aws-cdk-lib/aws-ecr';
import {
  type Cluster,
  type ContainerDefinition,
  ContainerDependencyCondition,
  FargatePlatformVersion,
  FargateService,
  FargateTaskDefinition,
  type LogDriver,
} from 'aws-cdk-lib/aws-ecs';
import { type IRole } from 'aws-cdk-lib/aws-iam';
import { type ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { DnsRecordType, type PrivateDnsNamespace } from 'aws-cdk-lib/aws-servicediscovery';
import { type Construct } from 'constructs';
import { acknowledge } from './acknowledge.js';
import { type DeploymentOptions } from './deployment-options.js';
import { DATA_FOLDERS, ENGINE_SIZES, ENGINES } from './engine-containers.js';
import { type Engine, type FileStorage } from './file-storage.js';
import { engineAddresses, GATEWAY_SERVICE, PORTS, SECRET_KEYS } from './names.js';
import { type SecurityGroups } from './network.js';
import { KNOWN_TO_ALL, noBusyMoves, ownContainer, secretsFor } from './own-container.js';

const METRICS_SIZE = { cpu: 256, memoryMiB: 512 };
/** Over the 45 seconds that a role may drain for. */
const STOP_TIMEOUT = Duration.seconds(60);

export interface GatewayServiceProps {
  readonly options: DeploymentOptions;
  readonly cluster: Cluster;
  readonly vpc: IVpc;
  readonly namespace: PrivateDnsNamespace;
  readonly groups: SecurityGroups;
  readonly files: FileStorage;
  readonly repository: IRepository;
  readonly secret: ISecret;
  readonly executionRole: IRole;
  readonly taskRole: IRole;
  readonly logsOf: (prefix: 'gateway' | 'metrics' | Engine) => LogDriver;
}

/** One task with the gateway, the engines and the metrics role, which all find each other at localhost. */
export function gatewayService(scope: Construct, props: GatewayServiceProps): FargateService {
  const { cluster, vpc, groups, namespace } = props;
  const service = new FargateService(scope, 'GatewayService', {
    serviceName: GATEWAY_SERVICE,
    cluster,
    taskDefinition: taskOf(scope, props),
    desiredCount: 1,
    // The old task ends before the new one begins: two brokers over the same files would destroy them.
    minHealthyPercent: 0,
    maxHealthyPercent: 100,
    circuitBreaker: { enable: true, rollback: true },
    healthCheckGracePeriod: Duration.minutes(5),
    platformVersion: FargatePlatformVersion.VERSION1_4,
    vpcSubnets: vpc.selectSubnets({ subnetType: SubnetType.PRIVATE_WITH_EGRESS }),
    securityGroups: [groups.gateway],
    enableECSManagedTags: true,
    cloudMapOptions: {
      cloudMapNamespace: namespace,
      name: GATEWAY_SERVICE,
      dnsRecordType: DnsRecordType.A,
      dnsTtl: Duration.seconds(10),
    },
  });
  noBusyMoves(service);
  return service;
}

function taskOf(scope: Construct, props: GatewayServiceProps): FargateTaskDefinition {
  const { options, executionRole, taskRole, files } = props;
  const task = new FargateTaskDefinition(scope, 'GatewayTask', {
    family: GATEWAY_SERVICE,
    cpu: options.gatewayTaskCpu,
    memoryLimitMiB: options.gatewayTaskMemory,
    executionRole,
    taskRole,
  });
  acknowledge(
    task,
    'AwsSolutions-ECS2',
    'What stands in the environment is no secret; each secret is taken from Secrets Manager.',
  );
  const engines = {
    redis: addEngine(task, 'redis', props),
    rabbitmq: addEngine(task, 'rabbitmq', props),
    chroma: addEngine(task, 'chroma', props),
  };
  for (const [engine, { accessPointId }] of Object.entries(files.accessPoints)) {
    task.addVolume({
      name: engine,
      efsVolumeConfiguration: {
        fileSystemId: files.fileSystem.fileSystemId,
        transitEncryption: 'ENABLED',
        authorizationConfig: { accessPointId, iam: 'ENABLED' },
      },
    });
  }
  for (const container of [addGateway(task, props), addMetrics(task, props)]) {
    // ECS stops in the other order: the engines are there until everything that writes to them has ended.
    for (const engine of [engines.redis, engines.rabbitmq]) {
      container.addContainerDependencies({
        container: engine,
        condition: ContainerDependencyCondition.HEALTHY,
      });
    }
  }
  return task;
}

function addEngine(
  task: FargateTaskDefinition,
  engine: Engine,
  props: GatewayServiceProps,
): ContainerDefinition {
  const { cpu, memoryMiB } = ENGINE_SIZES[engine];
  const container = task.addContainer(engine, {
    ...ENGINES[engine](),
    cpu,
    memoryLimitMiB: memoryMiB,
    portMappings: [{ containerPort: PORTS[engine] }],
    secrets: engine === 'rabbitmq' ? secretsFor(SECRET_KEYS.rabbitmq, props.secret) : {},
    enableRestartPolicy: true,
    logging: props.logsOf(engine),
  });
  container.addMountPoints({ sourceVolume: engine, containerPath: DATA_FOLDERS[engine], readOnly: false });
  return container;
}

const { REDIS_URL, RABBITMQ_URL } = engineAddresses('localhost');

/** It has what the engines and metrics leave of the task. */
function addGateway(task: FargateTaskDefinition, props: GatewayServiceProps): ContainerDefinition {
  const { options, repository, secret, logsOf } = props;
  const others = [...Object.values(ENGINE_SIZES), METRICS_SIZE];
  return ownContainer(task, {
    role: 'gateway',
    repository,
    imageTag: options.gatewayImageTag ?? options.imageTag,
    cpu: others.reduce((rest, { cpu }) => rest - cpu, options.gatewayTaskCpu),
    memoryMiB: others.reduce((rest, { memoryMiB }) => rest - memoryMiB, options.gatewayTaskMemory),
    environment: {
      REDIS_URL,
      RABBITMQ_URL,
      DAILY_TICK_LIMIT: String(options.dailyTickLimit),
      CORS_ALLOWED_ORIGINS: options.corsAllowedOrigins,
    },
    secrets: secretsFor(SECRET_KEYS.gateway, secret),
    stopTimeout: STOP_TIMEOUT,
    restarts: true,
    logging: logsOf('gateway'),
  });
}

/** Measures the queue every 10 seconds. Without it the autoscaler holds; it is no reason to replace the whole task. */
function addMetrics(task: FargateTaskDefinition, props: GatewayServiceProps): ContainerDefinition {
  const { options, repository, logsOf } = props;
  return ownContainer(task, {
    role: 'metrics',
    repository,
    imageTag: options.gatewayImageTag ?? options.imageTag,
    ...METRICS_SIZE,
    essential: false,
    environment: {
      REDIS_URL,
      RABBITMQ_URL,
      RABBITMQ_MANAGEMENT_URL: 'http://localhost:15672',
      ...KNOWN_TO_ALL.ecs,
    },
    secrets: {},
    stopTimeout: STOP_TIMEOUT,
    restarts: true,
    logging: logsOf('metrics'),
  });
}
