import { Fn } from 'aws-cdk-lib/core';
import {
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { type IBucket } from 'aws-cdk-lib/aws-s3';
import { type Construct } from 'constructs';
import { acknowledge } from './acknowledge.js';
import { type DeploymentOptions } from './deployment-options.js';
import { PORTS } from './names.js';

/** The VPC that the options name, or one of its own: two zones, the load balancer in public subnets, all tasks in private ones. */
export function networkOf(scope: Construct, options: DeploymentOptions, logs: IBucket): IVpc {
  const { vpcId, availabilityZones = [], publicSubnetIds = [], privateSubnetIds = [] } = options;
  if (vpcId !== undefined) {
    return Vpc.fromVpcAttributes(scope, 'Vpc', {
      vpcId,
      availabilityZones,
      publicSubnetIds,
      privateSubnetIds,
    });
  }
  return new Vpc(scope, 'Vpc', {
    // Taken from AWS when it deploys: a list that is asked for at synthesis would need credentials.
    availabilityZones: [0, 1].map((index) => Fn.select(index, Fn.getAzs())),
    natGateways: options.natGateways,
    subnetConfiguration: [
      { name: 'public', subnetType: SubnetType.PUBLIC, mapPublicIpOnLaunch: false },
      { name: 'private', subnetType: SubnetType.PRIVATE_WITH_EGRESS },
    ],
    gatewayEndpoints: { S3: { service: GatewayVpcEndpointAwsService.S3 } },
    flowLogs: { all: { destination: FlowLogDestination.toS3(logs, 'vpc') } },
    // Nothing is in the default group, and emptying it would take a Lambda function with rights over security groups.
    restrictDefaultSecurityGroup: false,
  });
}

/** Who may speak to whom. The first three have exactly the rules of the architecture; `files` is that of the file system. */
export interface SecurityGroups {
  readonly loadBalancer: SecurityGroup;
  readonly gateway: SecurityGroup;
  readonly agent: SecurityGroup;
  readonly files: SecurityGroup;
}

export function securityGroupsOf(scope: Construct, vpc: IVpc): SecurityGroups {
  const group = (id: string, description: string, allowAllOutbound = false) =>
    new SecurityGroup(scope, id, { vpc, description, allowAllOutbound });
  const groups = {
    loadBalancer: group('LoadBalancerGroup', 'Euglena: the load balancer'),
    gateway: group('GatewayGroup', 'Euglena: the task of the gateway', true),
    agent: group('AgentGroup', 'Euglena: the tasks of agents'),
    files: group('FilesGroup', 'Euglena: the file system'),
  };
  const { loadBalancer, gateway, agent, files } = groups;

  loadBalancer.addIngressRule(Peer.anyIpv4(), Port.tcp(PORTS.http), 'HTTP');
  loadBalancer.addIngressRule(Peer.anyIpv4(), Port.tcp(PORTS.https), 'HTTPS');
  acknowledge(
    loadBalancer,
    'AwsSolutions-EC23',
    'It is the public entrance: everybody may ask on ports 80 and 443.',
  );
  loadBalancer.addEgressRule(gateway, Port.tcp(PORTS.gateway), 'Requests and health checks');
  gateway.addIngressRule(loadBalancer, Port.tcp(PORTS.gateway), 'Requests and health checks');

  for (const engine of ['redis', 'rabbitmq', 'chroma'] as const) {
    agent.addEgressRule(gateway, Port.tcp(PORTS[engine]), engine);
    gateway.addIngressRule(agent, Port.tcp(PORTS[engine]), engine);
  }
  agent.addIngressRule(gateway, Port.tcp(PORTS.agent), 'Health');
  agent.addEgressRule(Peer.anyIpv4(), Port.tcp(PORTS.https), 'Models, search, pages, AWS');

  files.addIngressRule(gateway, Port.tcp(PORTS.nfs), 'The engines keep their data here');
  return groups;
}
