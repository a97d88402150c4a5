import { describe } from '@jest/globals';
import { asText, environmentOf, type Json, secretsOf } from '../support/aws-templates.js';
import { expect, type Given, row } from './seed-row.js';

const SECRET_KEYS = [
  'OPENAI_API_KEY',
  'SEARCH_API_KEY',
  'SUPABASE_URL',
  'SUPABASE_ANON_KEY',
  'SUPABASE_API_KEY',
  'SUPABASE_JWT_SECRET',
  'SUPABASE_ALLOW_UNCONFIRMED',
  'RABBITMQ_ERLANG_COOKIE',
];

/** The services of the architecture, by their numbers. */
export function describeServices(given: Given): void {
  const main = () => given().main;
  const gateway = () => main().containers('GatewayTask');
  const agent = () => main().containers('AgentTask')['agent'];

  describe('1 load balancer', () => {
    row('1.1 public load balancer', () => {
      const balancer = main().one('AWS::ElasticLoadBalancingV2::LoadBalancer');
      expect(balancer).toMatchObject({ Scheme: 'internet-facing', Type: 'application' });
      expect(balancer.Subnets.map(asText)).toEqual([
        expect.stringContaining('publicSubnet1'),
        expect.stringContaining('publicSubnet2'),
      ]);
    });
    row('1.2 listener on 80', () => {
      const [listener, ...more] = main().properties('AWS::ElasticLoadBalancingV2::Listener');
      expect(more).toEqual([]);
      expect(listener).toMatchObject({ Port: 80, Protocol: 'HTTP' });
      expect(listener.DefaultActions).toEqual([
        { Type: 'forward', TargetGroupArn: { Ref: main().id('AWS::ElasticLoadBalancingV2::TargetGroup') } },
      ]);
    });
    row('1.3 target group on 8080', () => {
      const group = main().one('AWS::ElasticLoadBalancingV2::TargetGroup');
      expect(group).toMatchObject({ Port: 8080, Protocol: 'HTTP', TargetType: 'ip' });
      expect(main().one('AWS::ECS::Service', 'GatewayService').LoadBalancers).toEqual([
        {
          ContainerName: 'gateway',
          ContainerPort: 8080,
          TargetGroupArn: { Ref: main().id('AWS::ElasticLoadBalancingV2::TargetGroup') },
        },
      ]);
    });
    row('1.4 health check', () => {
      const group = main().one('AWS::ElasticLoadBalancingV2::TargetGroup');
      expect(group).toMatchObject({ HealthCheckPath: '/health', Matcher: { HttpCode: '200' } });
    });
  });

  describe('2 containers', () => {
    row('2.1 cluster', () => {
      expect(main().one('AWS::ECS::Cluster').ClusterName).toBe('euglena-cluster');
    });
    row('2.2 gateway service', () => {
      const service = main().one('AWS::ECS::Service', 'GatewayService');
      expect(service).toMatchObject({ ServiceName: 'euglena-gateway', DesiredCount: 1 });
      expect(service.DeploymentConfiguration).toMatchObject({
        MinimumHealthyPercent: 0,
        MaximumPercent: 100,
      });
      expect(Object.keys(gateway()).sort()).toEqual(['chroma', 'gateway', 'metrics', 'rabbitmq', 'redis']);
    });
    row('2.3 agent service', () => {
      const service = main().one('AWS::ECS::Service', 'AgentService');
      expect(service.ServiceName).toBe('euglena-agent');
      // A number here would undo what the Lambda function decided, at each deployment.
      expect(service.DesiredCount).toBeUndefined();
      expect(service.DeploymentConfiguration).toMatchObject({
        MinimumHealthyPercent: 100,
        MaximumPercent: 200,
      });
      expect(agent().StopTimeout).toBe(120);
      expect(main().one('AWS::Lambda::Function').Environment.Variables).toMatchObject({
        MIN_WORKERS: '1',
        MAX_WORKERS: '11',
      });
    });
    row('2.4 Fargate', () => {
      for (const service of main().properties('AWS::ECS::Service'))
        expect(service.LaunchType).toBe('FARGATE');
      for (const task of main().properties('AWS::ECS::TaskDefinition')) {
        expect(task.RequiresCompatibilities).toEqual(['FARGATE']);
      }
    });
    row('2.5 awsvpc', () => {
      for (const task of main().properties('AWS::ECS::TaskDefinition'))
        expect(task.NetworkMode).toBe('awsvpc');
    });
  });

  describe('3 images', () => {
    row('3.1 repositories', () => {
      const names = given()
        .foundation.properties('AWS::ECR::Repository')
        .map(({ RepositoryName }) => RepositoryName);
      expect(names).toEqual(['euglena/gateway', 'euglena/agent']);
    });
    row('3.2 image tags', () => {
      const image = (container: Json) => JSON.stringify(container.Image);
      for (const container of [gateway()['gateway'], gateway()['metrics']]) {
        expect(image(container)).toMatch(/GatewayRepository.*:latest/);
      }
      expect(image(agent())).toMatch(/AgentRepository.*:latest/);
    });
  });

  describe('4 secrets', () => {
    row('4.1 eight keys', () => {
      const { Name, GenerateSecretString: generated } = given().foundation.one('AWS::SecretsManager::Secret');
      expect(Name).toBe('euglena/secret');
      const keys = [...Object.keys(JSON.parse(generated.SecretStringTemplate)), generated.GenerateStringKey];
      expect(keys.sort()).toEqual([...SECRET_KEYS].sort());
    });
    row('4.2 each container its own keys', () => {
      const all = { ...gateway(), agent: agent() };
      const keys = Object.fromEntries(Object.entries(all).map(([name, one]) => [name, secretsOf(one)]));
      const named = (...names: string[]) => Object.fromEntries(names.map((name) => [name, name]));
      expect(keys).toEqual({
        gateway: named(...SECRET_KEYS.filter((name) => name.startsWith('SUPABASE'))),
        agent: named('OPENAI_API_KEY', 'SEARCH_API_KEY'),
        rabbitmq: named('RABBITMQ_ERLANG_COOKIE'),
        redis: {},
        chroma: {},
        metrics: {},
      });
    });
  });

  describe('5 logs', () => {
    row('5.1 log group', () => {
      const group = main().one('AWS::Logs::LogGroup', 'ContainerLogs');
      expect(group).toMatchObject({ LogGroupName: '/ecs/euglena', RetentionInDays: 30 });
    });
    row('5.2 stream prefixes', () => {
      const containers = Object.entries<Json>({ ...gateway(), agent: agent() });
      for (const [name, { LogConfiguration: log }] of containers) {
        expect(log.LogDriver).toBe('awslogs');
        expect(log.Options).toMatchObject({
          'awslogs-group': { Ref: main().id('AWS::Logs::LogGroup', 'ContainerLogs') },
          'awslogs-stream-prefix': name,
        });
      }
    });
  });

  describe('6 metrics', () => {
    row('6.1 namespace, metric and dimension', () => {
      const alarm = main().one('AWS::CloudWatch::Alarm', 'Alarmnometricdata');
      expect(alarm).toMatchObject({
        Namespace: 'Euglena/RabbitMQ',
        MetricName: 'QueueDepth',
        Dimensions: [{ Name: 'QueueName', Value: 'agent.mandates' }],
      });
    });
    row('6.2 publisher', () => {
      const { metrics } = gateway();
      expect(metrics.Command).toEqual(['--role', 'metrics']);
      expect(environmentOf(metrics)).toMatchObject({
        EUGLENA_ROLE: 'metrics',
        QUEUE_NAME: 'agent.mandates',
        RABBITMQ_MANAGEMENT_URL: 'http://localhost:15672',
      });
    });
  });

  describe('7 and 8 autoscaling', () => {
    row('7.1 function', () => {
      const lambda = main().one('AWS::Lambda::Function');
      expect(lambda).toMatchObject({ FunctionName: 'lambda-autoscaling', Handler: 'lambda.handler' });
    });
    row('8.1 rule', () => {
      const rule = main().one('AWS::Events::Rule');
      expect(rule).toMatchObject({ ScheduleExpression: 'rate(2 minutes)', State: 'ENABLED' });
    });
    row('8.2 target', () => {
      const lambda = { 'Fn::GetAtt': [main().id('AWS::Lambda::Function'), 'Arn'] };
      expect(main().one('AWS::Events::Rule').Targets).toEqual([expect.objectContaining({ Arn: lambda })]);
      expect(main().one('AWS::Lambda::Permission')).toMatchObject({
        Principal: 'events.amazonaws.com',
        FunctionName: lambda,
        SourceArn: { 'Fn::GetAtt': [main().id('AWS::Events::Rule'), 'Arn'] },
      });
    });
  });

  describe('9 network and service discovery', () => {
    row('9.1 namespace', () => {
      expect(main().one('AWS::ServiceDiscovery::PrivateDnsNamespace').Name).toBe('euglena.local');
    });
    row('9.2 gateway service name', () => {
      const service = main().one('AWS::ServiceDiscovery::Service');
      expect(service.Name).toBe('euglena-gateway');
      expect(service.DnsConfig.DnsRecords).toEqual([{ Type: 'A', TTL: 10 }]);
      expect(main().one('AWS::ECS::Service', 'GatewayService').ServiceRegistries).toEqual([
        { RegistryArn: { 'Fn::GetAtt': [main().id('AWS::ServiceDiscovery::Service'), 'Arn'] } },
      ]);
    });
    row('9.3 one VPC, private tasks', () => {
      expect(Object.keys(main().all('AWS::EC2::VPC'))).toHaveLength(1);
      for (const { NetworkConfiguration } of main().properties('AWS::ECS::Service')) {
        const { AssignPublicIp, Subnets } = NetworkConfiguration.AwsvpcConfiguration;
        expect(AssignPublicIp).toBe('DISABLED');
        for (const subnet of Subnets) expect(asText(subnet)).toContain('privateSubnet');
      }
    });
  });
}
