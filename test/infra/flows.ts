import { describe } from '@jest/globals';
import { readSettings } from '../../src/config/settings.js';
import { environmentOf, type Json, secretsOf } from '../support/aws-templates.js';
import { permissionsOf, rulesOf } from './access.js';
import { expect, type Given, row } from './seed-row.js';

/** What ECS gives to every container by itself. */
const BY_ECS = {
  NODE_ENV: 'production',
  AWS_REGION: 'us-east-2',
  ECS_AGENT_URI: 'http://169.254.170.2/api/1',
};

/** Ports, addresses, the settings of the autoscaling function, and what each flow needs. */
export function describeFlows(given: Given): void {
  const main = () => given().main;
  const gateway = () => main().containers('GatewayTask');
  const agent = () => main().containers('AgentTask')['agent'];
  const portsOf = (container: Json) => container.PortMappings.map((one: Json) => one.ContainerPort);
  const lambda = () => main().one('AWS::Lambda::Function').Environment.Variables;

  describe('12 ports', () => {
    const port = (name: string, number: number, container: () => Json) =>
      row(`12 ${name} on ${number}`, () => expect(portsOf(container())).toEqual([number]));
    port('gateway', 8080, () => gateway()['gateway']);
    port('redis', 6379, () => gateway()['redis']);
    port('rabbitmq', 5672, () => gateway()['rabbitmq']);
    port('chroma', 8000, () => gateway()['chroma']);
    port('metrics', 8082, () => gateway()['metrics']);
    port('agent', 8081, agent);
    row('12 each role listens on its port', () => {
      for (const container of [gateway()['gateway'], gateway()['metrics'], agent()]) {
        const { role, port: listens } = readSettings({ ...BY_ECS, ...environmentOf(container) });
        expect([role, [listens]]).toEqual([container.Name, portsOf(container)]);
      }
    });
  });

  describe('13 addresses', () => {
    const host = 'euglena-gateway.euglena.local';
    row('13 Redis for agents', () =>
      expect(environmentOf(agent())['REDIS_URL']).toBe(`redis://${host}:6379/0`),
    );
    row('13 RabbitMQ for agents', () =>
      expect(environmentOf(agent())['RABBITMQ_URL']).toBe(`amqp://guest:guest@${host}:5672/`),
    );
    row('13 ChromaDB for agents', () =>
      expect(environmentOf(agent())['CHROMA_URL']).toBe(`http://${host}:8000`),
    );
    row('13 engines for the gateway', () => {
      for (const name of ['gateway', 'metrics']) {
        expect(environmentOf(gateway()[name])).toMatchObject({
          REDIS_URL: 'redis://localhost:6379/0',
          RABBITMQ_URL: 'amqp://guest:guest@localhost:5672/',
        });
      }
    });
  });

  describe('14 settings', () => {
    const variable = (name: string, value: string, where: () => Record<string, string>) =>
      row(`14 ${name}`, () => expect(where()[name]).toBe(value));
    variable('ECS_CLUSTER', 'euglena-cluster', lambda);
    variable('ECS_SERVICE', 'euglena-agent', lambda);
    variable('TARGET_MESSAGES_PER_WORKER', '1', lambda);
    variable('MIN_WORKERS', '1', lambda);
    variable('MAX_WORKERS', '11', lambda);
    variable('DAILY_TICK_LIMIT', '256', () => environmentOf(gateway()['gateway']));
    variable('AGENT_STATUS_TIME', '10', () => environmentOf(agent()));
    variable('ECS_ENABLED', 'true', () => environmentOf(agent()));
    variable('MODEL_API_URL', 'https://api.openai.com/v1', () => environmentOf(agent()));
    row('14 QUEUE_NAME', () => {
      const users = [gateway()['gateway'], gateway()['metrics'], agent()].map(environmentOf);
      for (const one of [...users, lambda()]) expect(one).toMatchObject({ QUEUE_NAME: 'agent.mandates' });
    });
    row('14 GATEWAY_TEST_MODE', () =>
      expect(environmentOf(gateway()['gateway'])['GATEWAY_TEST_MODE']).toBeUndefined(),
    );
  });

  describe('flows', () => {
    row('Flow 1 submit a task', () => {
      expect(rulesOf(main(), 'LoadBalancerGroup', 'Egress')).toContain('tcp 8080 Gateway');
      expect(Object.keys(secretsOf(gateway()['gateway']))).toContain('SUPABASE_JWT_SECRET');
      expect(environmentOf(gateway()['gateway'])).toMatchObject({
        REDIS_URL: expect.stringContaining('localhost'),
        RABBITMQ_URL: expect.stringContaining('localhost'),
        DAILY_TICK_LIMIT: '256',
      });
      // The gateway itself asks AWS for nothing: all that its task may do is for metrics and for files.
      expect(permissionsOf(main(), 'GatewayTaskRole').map((one) => one.split(':')[0])).toEqual([
        'cloudwatch',
        'elasticfilesystem',
        'elasticfilesystem',
      ]);
    });
    row('Flow 2 get a task', () => {
      const { DependsOn } = gateway()['gateway'];
      expect(DependsOn).toContainEqual({ ContainerName: 'redis', Condition: 'HEALTHY' });
    });
    row('Flow 3 count the agents', () => {
      expect(environmentOf(agent())['REDIS_URL']).toContain('euglena-gateway.euglena.local');
      expect(rulesOf(main(), 'GatewayGroup', 'Ingress')).toContain('tcp 6379 Agent');
    });
    row('Flow 4 work on a task', () => {
      for (const port of [6379, 5672, 8000]) {
        expect(rulesOf(main(), 'AgentGroup', 'Egress')).toContain(`tcp ${port} Gateway`);
        expect(rulesOf(main(), 'GatewayGroup', 'Ingress')).toContain(`tcp ${port} Agent`);
      }
      expect(rulesOf(main(), 'AgentGroup', 'Egress')).toContain('tcp 443 0.0.0.0/0');
      expect(secretsOf(agent())).toEqual({
        OPENAI_API_KEY: 'OPENAI_API_KEY',
        SEARCH_API_KEY: 'SEARCH_API_KEY',
      });
      expect(permissionsOf(main(), 'AgentTaskRole')).toEqual([
        expect.stringContaining('ecs:UpdateTaskProtection'),
      ]);
    });
    row('Flow 5 scale', () => {
      const { metrics } = gateway();
      expect(environmentOf(metrics)['ECS_ENABLED']).toBe('true');
      expect(permissionsOf(main(), 'GatewayTaskRole')).toContain('cloudwatch:PutMetricData → *');
      const { ECS_CLUSTER, ECS_SERVICE } = lambda();
      expect(permissionsOf(main(), 'LambdaExecutionRole')).toEqual(
        expect.arrayContaining([
          'cloudwatch:GetMetricStatistics → *',
          'cloudwatch:GetMetricData → *',
          `ecs:DescribeServices → service/${ECS_CLUSTER}/${ECS_SERVICE}`,
          `ecs:UpdateService → service/${ECS_CLUSTER}/${ECS_SERVICE}`,
        ]),
      );
      expect(main().one('AWS::ECS::Service', 'AgentService').ServiceName).toBe(ECS_SERVICE);
      expect(main().one('AWS::ECS::Cluster').ClusterName).toBe(ECS_CLUSTER);
    });
  });
}
