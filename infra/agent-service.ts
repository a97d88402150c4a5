import { Duration } from 'aws-cdk-lib/core';
import { type IVpc, SubnetType } from 'aws-cdk-lib/aws-ec2';
import { type IRepository } from 'aws-cdk-lib/aws-ecr';
import {
  type Cluster,
  FargatePlatformVersion,
  FargateService,
  FargateTaskDefinition,
  type LogDriver,
} from 'aws-cdk-lib/aws-ecs';
import { type IRole } from 'aws-cdk-lib/aws-iam';
import { type ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { type Construct } from 'constructs';
import { acknowledge } from './acknowledge.js';
import { type DeploymentOptions } from './deployment-options.js';
import { AGENT_SERVICE, engineAddresses, GATEWAY_HOST, SECRET_KEYS } from './names.js';
import { type SecurityGroups } from './network.js';
import { KNOWN_TO_ALL, noBusyMoves, ownContainer, secretsFor } from './own-container.js';

export interface AgentServiceProps {
  readonly options: DeploymentOptions;
  readonly cluster: Cluster;
  readonly vpc: IVpc;
  readonly groups: SecurityGroups;
  readonly repository: IRepository;
  readonly secret: ISecret;
  readonly executionRole: IRole;
  readonly taskRole: IRole;
  readonly logging: LogDriver;
}

/** Tasks of one agent each. How many, the Lambda function says: a deployment leaves the number as it is. */
export function agentService(scope: Construct, props: AgentServiceProps): FargateService {
  const { cluster, vpc, groups } = props;
  const service = new FargateService(scope, 'AgentService', {
    serviceName: AGENT_SERVICE,
    cluster,
    taskDefinition: taskOf(scope, props),
    // New agents start beside the old ones, which ECS stops when they are not protected any more.
    minHealthyPercent: 100,
    maxHealthyPercent: 200,
    circuitBreaker: { enable: true, rollback: true },
    platformVersion: FargatePlatformVersion.VERSION1_4,
    vpcSubnets: vpc.selectSubnets({ subnetType: SubnetType.PRIVATE_WITH_EGRESS }),
    securityGroups: [groups.agent],
    enableECSManagedTags: true,
  });
  noBusyMoves(service);
  return service;
}

function taskOf(scope: Construct, props: AgentServiceProps): FargateTaskDefinition {
  const { options, repository, secret, executionRole, taskRole, logging } = props;
  const task = new FargateTaskDefinition(scope, 'AgentTask', {
    family: AGENT_SERVICE,
    cpu: options.agentTaskCpu,
    memoryLimitMiB: options.agentTaskMemory,
    executionRole,
    taskRole,
  });
  acknowledge(
    task,
    'AwsSolutions-ECS2',
    'What stands in the environment is no secret; each secret is taken from Secrets Manager.',
  );
  ownContainer(task, {
    role: 'agent',
    repository,
    imageTag: options.agentImageTag ?? options.imageTag,
    cpu: options.agentTaskCpu,
    memoryMiB: options.agentTaskMemory,
    environment: {
      ...engineAddresses(GATEWAY_HOST),
      ...KNOWN_TO_ALL.ecs,
      AGENT_STATUS_TIME: '10',
      MODEL_API_URL: options.modelApiUrl,
      MODEL_NAME: options.modelName,
      EMBEDDING_MODEL: options.embeddingModel,
      ...searchSettings(options),
    },
    secrets: secretsFor(SECRET_KEYS.agent, secret),
    // The most that Fargate gives. An agent hands back what it cannot finish in time.
    stopTimeout: Duration.seconds(120),
    restarts: false,
    logging,
  });
  return task;
}

/** Without a search service, agents search the documents in their image; in production that has to be said. */
function searchSettings({ searchProvider, searchApiUrl }: DeploymentOptions): Record<string, string> {
  if (searchProvider === undefined) return { EUGLENA_ALLOW_EMBEDDED: 'web-search' };
  return {
    SEARCH_PROVIDER: searchProvider,
    ...(searchApiUrl === undefined ? {} : { SEARCH_API_URL: searchApiUrl }),
  };
}
