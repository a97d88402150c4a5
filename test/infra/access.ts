import { describe } from '@jest/globals';
import { asText, type Json, type Template } from '../support/aws-templates.js';
import { expect, type Given, row } from './seed-row.js';

/** What a role may do: `action → resource`, with the resource's account, region and references left out. */
export function permissionsOf(template: Template, role: string): string[] {
  const { Policies, ManagedPolicyArns } = template.one('AWS::IAM::Role', role);
  expect(ManagedPolicyArns).toBeUndefined();
  const statements = Policies.flatMap(({ PolicyDocument }: Json) => PolicyDocument.Statement);
  return statements
    .flatMap(({ Effect, Action, Resource }: Json) => {
      expect(Effect).toBe('Allow');
      return [Action]
        .flat()
        .flatMap((action) => [Resource].flat().map((resource) => `${action} → ${short(asText(resource))}`));
    })
    .sort();
}

const short = (arn: string) =>
  arn
    .replace(/^arn:aws:\w+:us-east-2:<AWS::AccountId>:/, '')
    .replace(/^<EuglenaFoundation:ExportsOutput(?:Ref|FnGetAtt)([A-Za-z]+?)[0-9A-F]{8}.*>$/, '<$1>')
    .replace(/^<([A-Za-z]+?)[0-9A-F]{8}\.Arn>$/, '<$1>');

/** The rules of a group, `from or to port peer`. */
export function rulesOf(template: Template, group: string, direction: 'Ingress' | 'Egress'): string[] {
  const id = template.id('AWS::EC2::SecurityGroup', group);
  const own = template.one('AWS::EC2::SecurityGroup', group)[`SecurityGroup${direction}`] ?? [];
  const others = template
    .properties(`AWS::EC2::SecurityGroup${direction}`)
    .filter(({ GroupId }) => GroupId['Fn::GetAtt'][0] === id);
  const peerOf = (rule: Json) => {
    const peer = rule.SourceSecurityGroupId ?? rule.DestinationSecurityGroupId;
    return rule.CidrIp ?? peer['Fn::GetAtt'][0].replace(/Group[0-9A-F]{8}$/, '');
  };
  return [...own, ...others]
    .map((rule: Json) => {
      expect(rule.FromPort).toBe(rule.ToPort);
      return rule.IpProtocol === '-1'
        ? `all ${peerOf(rule)}`
        : `${rule.IpProtocol} ${rule.FromPort} ${peerOf(rule)}`;
    })
    .sort();
}

/** The roles and the security groups. */
export function describeAccess(given: Given): void {
  const main = () => given().main;

  describe('10 roles', () => {
    row('10.1 execution role', () => {
      const streams = ['agent', 'chroma', 'gateway', 'metrics', 'rabbitmq', 'redis'].map(
        (prefix) => `log-group:/ecs/euglena:log-stream:${prefix}/*`,
      );
      const images = ['<AgentRepository>', '<GatewayRepository>'];
      expect(permissionsOf(main(), 'EcsTaskExecutionRole')).toEqual(
        [
          'secretsmanager:GetSecretValue → <Secret>',
          ...streams.map((stream) => `logs:CreateLogStream → ${stream}`),
          ...streams.map((stream) => `logs:PutLogEvents → ${stream}`),
          'ecr:GetAuthorizationToken → *',
          ...images.map((image) => `ecr:BatchCheckLayerAvailability → ${image}`),
          ...images.map((image) => `ecr:GetDownloadUrlForLayer → ${image}`),
          ...images.map((image) => `ecr:BatchGetImage → ${image}`),
        ].sort(),
      );
      for (const { ExecutionRoleArn } of main().properties('AWS::ECS::TaskDefinition')) {
        expect(asText(ExecutionRoleArn)).toMatch(/^<EcsTaskExecutionRole/);
      }
    });
    row('10.2 gateway task role', () => {
      expect(permissionsOf(main(), 'GatewayTaskRole')).toEqual([
        'cloudwatch:PutMetricData → *',
        'elasticfilesystem:ClientMount → <Files>',
        'elasticfilesystem:ClientWrite → <Files>',
      ]);
      const policies = JSON.stringify(main().one('AWS::IAM::Role', 'GatewayTaskRole').Policies);
      expect(policies).toContain('{"StringEquals":{"cloudwatch:namespace":"Euglena/RabbitMQ"}}');
      expect(policies.match(/:access-point\//g)).toHaveLength(3);
    });
    row('10.3 agent task role', () => {
      expect(permissionsOf(main(), 'AgentTaskRole')).toEqual([
        'ecs:UpdateTaskProtection → task/euglena-cluster/*',
      ]);
      const [{ PolicyDocument }] = main().one('AWS::IAM::Role', 'AgentTaskRole').Policies;
      expect(asText(PolicyDocument.Statement[0].Condition.ArnEquals['ecs:cluster'])).toBe(
        'arn:aws:ecs:us-east-2:<AWS::AccountId>:cluster/euglena-cluster',
      );
    });
    row('10.4 Lambda role', () => {
      const log = 'log-group:/aws/lambda/lambda-autoscaling:*';
      expect(permissionsOf(main(), 'LambdaExecutionRole')).toEqual([
        'cloudwatch:GetMetricData → *',
        'cloudwatch:GetMetricStatistics → *',
        'ecs:DescribeServices → service/euglena-cluster/euglena-agent',
        'ecs:UpdateService → service/euglena-cluster/euglena-agent',
        `logs:CreateLogGroup → ${log}`,
        `logs:CreateLogStream → ${log}`,
        `logs:PutLogEvents → ${log}`,
      ]);
      expect(asText(main().one('AWS::Lambda::Function').Role)).toMatch(/^<LambdaExecutionRole/);
    });
    row('10.5 gateway and agent differ', () => {
      const roleOf = (task: string) => asText(main().one('AWS::ECS::TaskDefinition', task).TaskRoleArn);
      expect(roleOf('GatewayTask')).toMatch(/^<GatewayTaskRole/);
      expect(roleOf('AgentTask')).toMatch(/^<AgentTaskRole/);
      const [gateway, agent] = ['GatewayTaskRole', 'AgentTaskRole'].map((role) =>
        permissionsOf(main(), role),
      );
      expect(gateway?.filter((permission) => agent?.includes(permission))).toEqual([]);
    });
  });

  describe('11 security groups', () => {
    row('11.1 gateway inbound', () => {
      expect(rulesOf(main(), 'GatewayGroup', 'Ingress')).toEqual([
        'tcp 5672 Agent',
        'tcp 6379 Agent',
        'tcp 8000 Agent',
        'tcp 8080 LoadBalancer',
      ]);
    });
    row('11.2 gateway outbound', () => {
      expect(rulesOf(main(), 'GatewayGroup', 'Egress')).toEqual(['all 0.0.0.0/0']);
    });
    row('11.3 agent inbound', () => {
      expect(rulesOf(main(), 'AgentGroup', 'Ingress')).toEqual(['tcp 8081 Gateway']);
    });
    row('11.4 agent outbound', () => {
      expect(rulesOf(main(), 'AgentGroup', 'Egress')).toEqual([
        'tcp 443 0.0.0.0/0',
        'tcp 5672 Gateway',
        'tcp 6379 Gateway',
        'tcp 8000 Gateway',
      ]);
    });
    row('11.5 load balancer inbound', () => {
      expect(rulesOf(main(), 'LoadBalancerGroup', 'Ingress')).toEqual([
        'tcp 443 0.0.0.0/0',
        'tcp 80 0.0.0.0/0',
      ]);
    });
    row('11.6 load balancer outbound', () => {
      expect(rulesOf(main(), 'LoadBalancerGroup', 'Egress')).toEqual(['tcp 8080 Gateway']);
    });
    row('11.7 each is on what it is for', () => {
      const groupsOf = (service: string) =>
        main()
          .one('AWS::ECS::Service', service)
          .NetworkConfiguration.AwsvpcConfiguration.SecurityGroups.map(asText);
      expect(groupsOf('GatewayService')).toEqual([expect.stringMatching(/^<GatewayGroup/)]);
      expect(groupsOf('AgentService')).toEqual([expect.stringMatching(/^<AgentGroup/)]);
      const balancer = main().one('AWS::ElasticLoadBalancingV2::LoadBalancer');
      expect(balancer.SecurityGroups.map(asText)).toEqual([expect.stringMatching(/^<LoadBalancerGroup/)]);
      for (const { SecurityGroups } of main().properties('AWS::EFS::MountTarget')) {
        expect(SecurityGroups.map(asText)).toEqual([expect.stringMatching(/^<FilesGroup/)]);
      }
      expect(rulesOf(main(), 'FilesGroup', 'Ingress')).toEqual(['tcp 2049 Gateway']);
    });
  });
}
