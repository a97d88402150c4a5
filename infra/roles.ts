import { ArnFormat, Aws, Stack } from 'aws-cdk-lib/core';
import { type IRepository } from 'aws-cdk-lib/aws-ecr';
import { PolicyDocument, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { type ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { type Construct } from 'constructs';
import { acknowledgeWildcard } from './acknowledge.js';
import { type FileStorage } from './file-storage.js';
import { AGENT_SERVICE, CLUSTER, LAMBDA, LOG_GROUP, METRICS_NAMESPACE, STREAM_PREFIXES } from './names.js';

const NO_NARROWER = 'The action has no resource of its own; AWS takes "*" only.';
/** Every action on one resource that AWS gives no finer names, or on a number of them, by their names. */
type Permission = Readonly<{
  actions: string[];
  resources: string[];
  conditions?: Record<string, Record<string, unknown>>;
}>;

function roleOf(
  scope: Construct,
  id: string,
  service: string,
  permissions: Record<string, Permission>,
): Role {
  return new Role(scope, id, {
    // Only for what runs in this account: nobody else can have AWS take the role on their behalf.
    assumedBy: new ServicePrincipal(service, {
      conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
    }),
    inlinePolicies: Object.fromEntries(
      Object.entries(permissions).map(([name, permission]) => [
        name,
        new PolicyDocument({ statements: [new PolicyStatement(permission)] }),
      ]),
    ),
  });
}

const ECS_TASKS = 'ecs-tasks.amazonaws.com';

/** The seed's `ecsTaskExecutionRole`: with it ECS itself starts a container. No container ever holds it. */
export function executionRole(scope: Construct, secret: ISecret, repositories: readonly IRepository[]): Role {
  const stream = (prefix: string) =>
    Stack.of(scope).formatArn({
      service: 'logs',
      resource: 'log-group',
      resourceName: `${LOG_GROUP}:log-stream:${prefix}/*`,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
  const role = roleOf(scope, 'EcsTaskExecutionRole', ECS_TASKS, {
    Secrets: { actions: ['secretsmanager:GetSecretValue'], resources: [secret.secretArn] },
    Logs: { actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: STREAM_PREFIXES.map(stream) },
    RegistryToken: { actions: ['ecr:GetAuthorizationToken'], resources: ['*'] },
    Images: {
      actions: ['ecr:BatchCheckLayerAvailability', 'ecr:GetDownloadUrlForLayer', 'ecr:BatchGetImage'],
      resources: repositories.map(({ repositoryArn }) => repositoryArn),
    },
  });
  acknowledgeWildcard(role, '*', NO_NARROWER);
  for (const streams of STREAM_PREFIXES.map(stream)) {
    acknowledgeWildcard(
      role,
      streams,
      'ECS ends the name of a stream with the id of a task, which nobody knows before it runs.',
    );
  }
  return role;
}

/** What the containers beside the gateway may do: put the figures of the queue, and reach their own folders. */
export function gatewayTaskRole(scope: Construct, { fileSystem, accessPoints }: FileStorage): Role {
  const role = roleOf(scope, 'GatewayTaskRole', ECS_TASKS, {
    Metrics: {
      actions: ['cloudwatch:PutMetricData'],
      resources: ['*'],
      conditions: { StringEquals: { 'cloudwatch:namespace': METRICS_NAMESPACE } },
    },
    Files: {
      actions: ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'],
      resources: [fileSystem.fileSystemArn],
      conditions: {
        StringEquals: {
          'elasticfilesystem:AccessPointArn': Object.values(accessPoints).map((one) => one.accessPointArn),
        },
      },
    },
  });
  acknowledgeWildcard(role, '*', `${NO_NARROWER} A condition binds it to one namespace.`);
  return role;
}

/** All that an agent, which reads pages of strangers, may do in AWS: protect a task of this cluster from being stopped. */
export function agentTaskRole(scope: Construct): Role {
  const arn = (resource: string, resourceName: string) =>
    Stack.of(scope).formatArn({ service: 'ecs', resource, resourceName });
  const tasks = arn('task', `${CLUSTER}/*`);
  const role = roleOf(scope, 'AgentTaskRole', ECS_TASKS, {
    TaskProtection: {
      actions: ['ecs:UpdateTaskProtection'],
      resources: [tasks],
      conditions: { ArnEquals: { 'ecs:cluster': arn('cluster', CLUSTER) } },
    },
  });
  acknowledgeWildcard(role, tasks, 'The id of a task is not known before it runs.');
  return role;
}

/** The Lambda function's role: it reads the figures, reads and sets the wanted number of agents, and writes its log. */
export function autoscalingRole(scope: Construct): Role {
  const log = Stack.of(scope).formatArn({
    service: 'logs',
    resource: 'log-group',
    resourceName: `/aws/lambda/${LAMBDA}:*`,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
  const service = Stack.of(scope).formatArn({
    service: 'ecs',
    resource: 'service',
    resourceName: `${CLUSTER}/${AGENT_SERVICE}`,
  });
  const role = roleOf(scope, 'LambdaExecutionRole', 'lambda.amazonaws.com', {
    Metrics: { actions: ['cloudwatch:GetMetricStatistics', 'cloudwatch:GetMetricData'], resources: ['*'] },
    Fleet: { actions: ['ecs:DescribeServices', 'ecs:UpdateService'], resources: [service] },
    Logs: {
      actions: ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'],
      resources: [log],
    },
  });
  acknowledgeWildcard(role, '*', NO_NARROWER);
  acknowledgeWildcard(role, log, 'Lambda names the streams of its own log group by date and instance.');
  return role;
}
