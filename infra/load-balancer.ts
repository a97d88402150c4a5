import { Annotations, CfnOutput, Duration } from 'aws-cdk-lib/core';
import { type IVpc, SubnetType } from 'aws-cdk-lib/aws-ec2';
import { type FargateService } from 'aws-cdk-lib/aws-ecs';
import {
  ApplicationLoadBalancer,
  ApplicationProtocol,
  ApplicationTargetGroup,
  ListenerAction,
  ListenerCertificate,
  SslPolicy,
  TargetType,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { type IBucket } from 'aws-cdk-lib/aws-s3';
import { type Construct } from 'constructs';
import { type DeploymentOptions } from './deployment-options.js';
import { PORTS } from './names.js';
import { type SecurityGroups } from './network.js';

export interface LoadBalancer {
  readonly loadBalancer: ApplicationLoadBalancer;
  readonly targetGroup: ApplicationTargetGroup;
}

/** The public entrance. With a certificate port 80 only redirects to 443; without one it forwards, and synthesis warns. */
export function loadBalancer(
  scope: Construct,
  { certificateArn, deletionProtection }: DeploymentOptions,
  { vpc, groups, logs }: { vpc: IVpc; groups: SecurityGroups; logs: IBucket },
): LoadBalancer {
  const balancer = new ApplicationLoadBalancer(scope, 'LoadBalancer', {
    vpc,
    internetFacing: true,
    vpcSubnets: { subnetType: SubnetType.PUBLIC },
    securityGroup: groups.loadBalancer,
    dropInvalidHeaderFields: true,
    deletionProtection,
    // Event streams send something every 15 seconds.
    idleTimeout: Duration.seconds(60),
  });
  balancer.logAccessLogs(logs, 'load-balancer');
  const targetGroup = new ApplicationTargetGroup(scope, 'GatewayTargets', {
    vpc,
    targetType: TargetType.IP,
    port: PORTS.gateway,
    protocol: ApplicationProtocol.HTTP,
    healthCheck: {
      path: '/health',
      healthyHttpCodes: '200',
      interval: Duration.seconds(15),
      timeout: Duration.seconds(10),
      healthyThresholdCount: 2,
      unhealthyThresholdCount: 4,
    },
    deregistrationDelay: Duration.seconds(30),
  });
  const forward = ListenerAction.forward([targetGroup]);
  const listen = (id: string, protocol: ApplicationProtocol, action: ListenerAction) =>
    balancer.addListener(id, {
      protocol,
      open: false,
      defaultAction: action,
      ...(protocol === ApplicationProtocol.HTTPS && certificateArn !== undefined
        ? {
            certificates: [ListenerCertificate.fromArn(certificateArn)],
            sslPolicy: SslPolicy.RECOMMENDED_TLS,
          }
        : {}),
    });
  if (certificateArn === undefined) {
    listen('Http', ApplicationProtocol.HTTP, forward);
    Annotations.of(scope).addWarningV2(
      'euglena:no-certificate',
      'No certificateArn: access tokens cross the internet in the clear. Use this to try things out only.',
    );
  } else {
    listen('Https', ApplicationProtocol.HTTPS, forward);
    const redirect = { protocol: 'HTTPS', port: String(PORTS.https), permanent: true };
    listen('Http', ApplicationProtocol.HTTP, ListenerAction.redirect(redirect));
  }
  const scheme = certificateArn === undefined ? 'http' : 'https';
  new CfnOutput(scope, 'Url', { value: `${scheme}://${balancer.loadBalancerDnsName}` });
  return { loadBalancer: balancer, targetGroup };
}

/** Tied to the service by hand: the rules between the two groups are those of network.ts and no others. */
export function attach(service: FargateService, { targetGroup }: LoadBalancer): void {
  service
    .loadBalancerTarget({ containerName: 'gateway', containerPort: PORTS.gateway })
    .attachToApplicationTargetGroup(targetGroup);
}
