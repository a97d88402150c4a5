import { type App, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib/core';
import { Cluster, ContainerInsights, LogDrivers } from 'aws-cdk-lib/aws-ecs';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { PrivateDnsNamespace } from 'aws-cdk-lib/aws-servicediscovery';
import { agentService } from './agent-service.js';
import { alarms } from './alarms.js';
import { autoscaling } from './autoscaling.js';
import { dashboard } from './dashboard.js';
import { type DeploymentOptions } from './deployment-options.js';
import { fileStorage } from './file-storage.js';
import { type FoundationStack } from './foundation-stack.js';
import { gatewayService } from './gateway-service.js';
import { attach, loadBalancer } from './load-balancer.js';
import { logBucket } from './log-storage.js';
import { CLUSTER, LOG_GROUP, NAMESPACE, type STREAM_PREFIXES } from './names.js';
import { networkOf, securityGroupsOf } from './network.js';
import { agentTaskRole, autoscalingRole, executionRole, gatewayTaskRole } from './roles.js';

export interface EuglenaStackProps extends StackProps {
  readonly options: DeploymentOptions;
  readonly foundation: FoundationStack;
}

/** Everything that runs. docs/aws.md draws it. */
export class EuglenaStack extends Stack {
  constructor(app: App, id: string, { options, foundation, ...props }: EuglenaStackProps) {
    super(app, id, props);
    const { repositories, secret } = foundation;
    const logs = logBucket(this);
    const vpc = networkOf(this, options, logs);
    const groups = securityGroupsOf(this, vpc);
    const files = fileStorage(this, vpc, groups);
    const logsOf = this.containerLogs(options);
    const starting = executionRole(this, secret, Object.values(repositories)).withoutPolicyUpdates();
    const cluster = new Cluster(this, 'Cluster', {
      clusterName: CLUSTER,
      vpc,
      containerInsightsV2: ContainerInsights.ENABLED,
    });
    const namespace = new PrivateDnsNamespace(this, 'Namespace', { name: NAMESPACE, vpc });
    const base = { options, cluster, vpc, groups, secret, executionRole: starting };

    const balancer = loadBalancer(this, options, { vpc, groups, logs });
    const gateway = gatewayService(this, {
      ...base,
      namespace,
      files,
      repository: repositories.gateway,
      taskRole: gatewayTaskRole(this, files).withoutPolicyUpdates(),
      logsOf,
    });
    attach(gateway, balancer);
    gateway.node.addDependency(files.fileSystem.mountTargetsAvailable);
    const agents = agentService(this, {
      ...base,
      repository: repositories.agent,
      taskRole: agentTaskRole(this).withoutPolicyUpdates(),
      logging: logsOf('agent'),
    });
    agents.node.addDependency(gateway);
    const autoscaler = autoscaling(this, options, autoscalingRole(this).withoutPolicyUpdates());
    dashboard(this, balancer, autoscaler, alarms(this, options, balancer, autoscaler));
  }

  /** One log group; the names of its streams begin with the container's. */
  private containerLogs({ logRetentionDays }: DeploymentOptions) {
    const logGroup = new LogGroup(this, 'ContainerLogs', {
      logGroupName: LOG_GROUP,
      retention: logRetentionDays as RetentionDays,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    return (streamPrefix: (typeof STREAM_PREFIXES)[number]) => LogDrivers.awsLogs({ logGroup, streamPrefix });
  }
}
