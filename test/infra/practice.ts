import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from '@jest/globals';
import { SETTING_NAMES } from '../../src/config/known-settings.js';
import { asText, environmentOf, type Json, secretsOf } from '../support/aws-templates.js';
import { healthCheckOf, readComposeFile } from '../support/compose-file.js';
import { Dockerfile, PROJECT } from '../support/dockerfile.js';
import { expect, type Given, row } from './seed-row.js';

const ENGINES = ['redis', 'rabbitmq', 'chroma'] as const;
/** Actions for which AWS knows no resource (Service Authorization Reference). */
const WITHOUT_RESOURCE = [
  'cloudwatch:GetMetricData',
  'cloudwatch:GetMetricStatistics',
  'cloudwatch:PutMetricData',
  'ecr:GetAuthorizationToken',
];

/** What the seed does not say: least privilege, secrets, data that outlive their task, sizes, alarms. */
export function describePractice(given: Given): void {
  const main = () => given().main;
  const gatewayTask = () => main().one('AWS::ECS::TaskDefinition', 'GatewayTask');
  const gateway = () => main().containers('GatewayTask');
  const all = (): [string, Json][] => Object.entries({ ...gateway(), ...main().containers('AgentTask') });

  describe('15 access', () => {
    row('15.1 no wildcard where AWS allows a narrower resource', () => {
      const roles = main()
        .properties('AWS::IAM::Role')
        .flatMap(({ Policies }) => Policies);
      const statements = roles.flatMap(({ PolicyDocument }: Json) => PolicyDocument.Statement);
      const actionsOn = (test: (resource: string) => boolean) =>
        statements
          .filter(({ Resource }: Json) => [Resource].flat().some((one) => test(asText(one))))
          .flatMap(({ Action }: Json) => Action);
      expect(actionsOn((resource) => resource === '*').sort()).toEqual(WITHOUT_RESOURCE);
      // What is left are ids that AWS gives: of a task, and in the names of log streams.
      expect([...new Set(actionsOn((resource) => /.\*/.test(resource)))].sort()).toEqual([
        'ecs:UpdateTaskProtection',
        'logs:CreateLogGroup',
        'logs:CreateLogStream',
        'logs:PutLogEvents',
      ]);
      expect(statements.flatMap(({ Action }: Json) => Action).join()).not.toContain('*');
    });
    row('15.2 no secret in an environment value', () => {
      for (const [name, container] of all()) {
        const environment = environmentOf(container);
        const secret = Object.keys(environment).filter((key) =>
          /KEY|SECRET|TOKEN|PASS|COOKIE|SUPABASE/.test(key),
        );
        expect([name, secret]).toEqual([name, []]);
        const credentials = Object.values(environment).flatMap(
          (value) => /\/\/([^/]*)@/.exec(value)?.[1] ?? [],
        );
        // RabbitMQ's published default, which opens nothing: the security group decides who reaches it.
        expect(credentials.filter((one) => one !== 'guest:guest')).toEqual([]);
      }
      const lambda = main().one('AWS::Lambda::Function').Environment.Variables;
      expect(Object.keys(lambda).filter((key) => /KEY|SECRET/.test(key))).toEqual([]);
    });
    row('15.3 own containers without rights', () => {
      for (const [, container] of all().filter(([name]) => !(ENGINES as readonly string[]).includes(name))) {
        expect(container).toMatchObject({
          ReadonlyRootFilesystem: true,
          LinuxParameters: { Capabilities: { Drop: ['ALL'] }, InitProcessEnabled: true },
        });
      }
    });
  });

  describe('16 data', () => {
    row('16.1 engines keep their data on an encrypted file system', () => {
      expect(main().one('AWS::EFS::FileSystem')).toMatchObject({
        Encrypted: true,
        BackupPolicy: { Status: 'ENABLED' },
      });
      const volumes = gatewayTask().Volumes.map(({ Name, EFSVolumeConfiguration: efs }: Json) => {
        expect(efs).toMatchObject({ TransitEncryption: 'ENABLED', AuthorizationConfig: { IAM: 'ENABLED' } });
        return [Name, asText(efs.AuthorizationConfig.AccessPointId).replace(/[0-9A-F]{8}>$/, '>')];
      });
      expect(Object.fromEntries(volumes)).toEqual({
        redis: '<FilesredisFiles>',
        rabbitmq: '<FilesrabbitmqFiles>',
        chroma: '<FileschromaFiles>',
      });
      const { services } = readComposeFile();
      for (const engine of ENGINES) {
        const [[, folder] = []] = (services[engine]?.volumes ?? []).map((volume) => volume.split(':'));
        expect(gateway()[engine].MountPoints).toEqual([
          { SourceVolume: engine, ContainerPath: folder, ReadOnly: false },
        ]);
      }
    });
    row('16.2 what holds data is kept', () => {
      const kept = (template: 'main' | 'foundation', type: string) =>
        Object.values(given()[template].all(type)).map((one) => [
          one.DeletionPolicy,
          one.UpdateReplacePolicy,
        ]);
      const holders = [
        ...['AWS::EFS::FileSystem', 'AWS::S3::Bucket', 'AWS::Logs::LogGroup'].map((type) =>
          kept('main', type),
        ),
        ...['AWS::ECR::Repository', 'AWS::SecretsManager::Secret'].map((type) => kept('foundation', type)),
      ];
      for (const policies of holders) {
        expect(policies.length).toBeGreaterThan(0);
        for (const one of policies) expect(one).toEqual(['Retain', 'Retain']);
      }
    });
    row('16.3 RabbitMQ finds its data again', () => {
      expect(environmentOf(gateway()['rabbitmq'])['RABBITMQ_NODENAME']).toBe('rabbit@localhost');
    });
  });

  describe('17 tasks', () => {
    row('17.1 sizes add up', () => {
      for (const task of main().properties('AWS::ECS::TaskDefinition')) {
        const sum = (key: 'Cpu' | 'Memory') =>
          task.ContainerDefinitions.reduce((total: number, one: Json) => total + one[key], 0);
        expect([String(sum('Cpu')), String(sum('Memory'))]).toEqual([task.Cpu, task.Memory]);
      }
      const maxMemory = /maxmemory (\d)gb/.exec(
        environmentOf(gateway()['redis'])['EUGLENA_REDIS_CONF'] ?? '',
      )?.[1];
      expect(gateway()['redis'].Memory).toBeGreaterThanOrEqual(2 * 1_024 * Number(maxMemory));
    });
    row('17.2 start and stop order', () => {
      for (const name of ['gateway', 'metrics']) {
        expect(gateway()[name].DependsOn).toEqual([
          { ContainerName: 'redis', Condition: 'HEALTHY' },
          { ContainerName: 'rabbitmq', Condition: 'HEALTHY' },
        ]);
      }
      expect(
        main().all('AWS::ECS::Service')[main().id('AWS::ECS::Service', 'AgentService')].DependsOn,
      ).toContain(main().id('AWS::ECS::Service', 'GatewayService'));
    });
    row('17.3 time to stop', () => {
      // A role that drains longer than 45 s is cut off by itself (src/boot/run-role.ts).
      for (const [, { StopTimeout }] of all()) expect(StopTimeout).toBeLessThanOrEqual(120);
      for (const name of ['gateway', 'metrics']) expect(gateway()[name].StopTimeout).toBeGreaterThan(45);
    });
    row('17.4 health checks', () => {
      const { services } = readComposeFile();
      const dockerfile = new Dockerfile('Dockerfile.gateway');
      const checks = Object.fromEntries(
        all().map(([name, { HealthCheck }]) => {
          const [kind, ...words] = HealthCheck.Command;
          return [name, kind === 'CMD' ? words : ['sh', '-c', ...words]];
        }),
      );
      for (const name of ['gateway', 'agent', 'metrics'])
        expect(checks[name]).toEqual(dockerfile.healthCheck);
      for (const engine of ENGINES) expect(checks[engine]).toEqual(healthCheckOf(services[engine] ?? {}));
    });
    row('17.5 engines of docker-compose.yml', () => {
      const { services } = readComposeFile();
      for (const engine of ENGINES) {
        expect(gateway()[engine].Image.replace('public.ecr.aws/docker/library/', '')).toBe(
          services[engine]?.image,
        );
      }
      for (const engine of ['redis', 'rabbitmq'] as const) {
        const file = readFileSync(`${PROJECT}deploy/${engine}.conf`, 'utf8');
        const settings = file.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
        const given = environmentOf(gateway()[engine])[`EUGLENA_${engine.toUpperCase()}_CONF`]?.split('\n');
        expect(given).toEqual(expect.arrayContaining(settings));
      }
    });
    row('17.6 settings that there are', () => {
      for (const role of ['gateway', 'metrics', 'agent']) {
        const container = Object.fromEntries(all())[role];
        const names = [...Object.keys(environmentOf(container)), ...Object.keys(secretsOf(container))];
        expect(names.filter((name) => !SETTING_NAMES.includes(name))).toEqual([]);
      }
    });
  });

  describe('18 operations', () => {
    row('18.1 alarms', () => {
      const alarms = main().properties('AWS::CloudWatch::Alarm');
      const summary = alarms.map((one) => [one.AlarmName, one.MetricName, one.TreatMissingData]);
      expect(summary).toEqual([
        ['euglena-backlog-age', 'OldestTaskAgeSeconds', 'notBreaching'],
        ['euglena-no-metric-data', 'QueueDepth', 'breaching'],
        ['euglena-dead-letters', 'DeadLetters', 'notBreaching'],
        ['euglena-unhealthy-targets', 'UnHealthyHostCount', 'notBreaching'],
        ['euglena-no-healthy-target', 'HealthyHostCount', 'breaching'],
        ['euglena-server-errors', 'HTTPCode_Target_5XX_Count', 'notBreaching'],
        ['euglena-autoscaling-errors', 'Errors', 'notBreaching'],
      ]);
      for (const { AlarmActions } of alarms) {
        expect(AlarmActions).toEqual([{ Ref: main().id('AWS::SNS::Topic') }]);
      }
    });
    row('18.2 dashboard', () => {
      const { DashboardName, DashboardBody } = main().one('AWS::CloudWatch::Dashboard');
      expect(DashboardName).toBe('euglena');
      const body = asText(DashboardBody);
      for (const figure of ['QueueDepth', 'BusyWorkers', 'DesiredTaskCount', 'RequestCount', 'Errors']) {
        expect(body).toContain(figure);
      }
    });
    row('18.3 tags', () => {
      const tags = [main().one('AWS::ECS::Cluster'), main().one('AWS::Lambda::Function')].map(
        ({ Tags }) => Tags,
      );
      for (const one of tags) expect(one).toContainEqual({ Key: 'Project', Value: 'euglena' });
    });
    row('18.4 bundle of the function', () => {
      const assets = readdirSync(given().folder).filter((name) => name.startsWith('asset.'));
      const folder = join(given().folder, assets.join());
      expect(readdirSync(folder).sort()).toEqual(['lambda.js', 'package.json']);
      const script = `import('${folder}/lambda.js').then(({ handler }) => console.log(typeof handler))`;
      expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }).trim()).toBe('function');
    });
  });
}
