import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { OPTION_NAMES, readOptions } from '../../infra/deployment-options.js';
import { RefusedDeployment } from '../../infra/refused-deployment.js';
import { InfrastructureApp, runCdkSynth, type Synthesized } from '../support/aws-templates.js';
import { PROJECT } from '../support/dockerfile.js';
import { describeAccess } from './access.js';
import { diagramOf } from './diagram.js';
import { describeFlows } from './flows.js';
import { describePractice } from './practice.js';
import { rows } from './seed-row.js';
import { describeServices } from './services.js';

/** The architecture of infra/, synthesized as an operator does it, without anything to reach AWS with. */

const SYNTHESIS_MS = 180_000;
let synthesized: Synthesized;
const given = () => synthesized;

beforeAll(() => {
  synthesized = runCdkSynth();
}, SYNTHESIS_MS);
afterAll(() => synthesized?.remove());

describeServices(given);
describeAccess(given);
describeFlows(given);
describePractice(given);

describe('docs/aws.md', () => {
  const guide = readFileSync(`${PROJECT}docs/aws.md`, 'utf8');

  it('names the test of every row, and no other', () => {
    const named = [...guide.matchAll(/\| `((?:\d|Flow )[^`]*)` +\|$/gm)].map(([, name]) => name);
    expect(named).toEqual(rows);
  });

  it('draws what the template has', () => {
    expect(/```mermaid\n([^]*?)```/.exec(guide)?.[1]).toBe(diagramOf(synthesized.main));
  });

  it('explains every finding of cdk-nag that is accepted', () => {
    const sources = readdirSync(`${PROJECT}infra`).filter((name) => name.endsWith('.ts'));
    const accepted = sources.flatMap(
      (name) => readFileSync(`${PROJECT}infra/${name}`, 'utf8').match(/AwsSolutions-[A-Z]+\d+/g) ?? [],
    );
    const explained = [...guide.matchAll(/^\| `(AwsSolutions-\w+)` +\|/gm)].map(([, id]) => id);
    expect([...new Set(accepted)].sort()).toEqual(explained);
  });
});

describe('npm run infra:synth', () => {
  it('builds, and hands arguments on to cdk synth', () => {
    const { scripts } = JSON.parse(readFileSync(`${PROJECT}package.json`, 'utf8')) as {
      scripts: Record<string, string>;
    };
    expect(scripts['infra:synth']).toBe('npm run --silent build && cdk synth');
  });
});

describe('context values', () => {
  let app: InfrastructureApp;
  beforeAll(() => {
    app = new InfrastructureApp();
  });
  afterAll(() => app?.remove());

  it(
    'say where it goes, how large it is, and what it uses that is there',
    () => {
      const other = app.synthesize({
        account: '111122223333',
        region: 'eu-central-1',
        certificateArn: 'arn:aws:acm:eu-central-1:111122223333:certificate/one',
        imageTag: 'v1',
        agentImageTag: 'v2',
        vpcId: 'vpc-1',
        availabilityZones: 'eu-central-1a,eu-central-1b',
        publicSubnetIds: 'subnet-a,subnet-b',
        privateSubnetIds: 'subnet-c,subnet-d',
        gatewayTaskCpu: '4096',
        gatewayTaskMemory: '16384',
        maxWorkers: '40',
        searchProvider: 'tavily',
        alarmEmail: 'on-call@example.com',
      });
      const { main } = other;
      other.remove();
      const listeners = main.properties('AWS::ElasticLoadBalancingV2::Listener');
      const actions = listeners.map((one) => [one.Port, one.Protocol, one.DefaultActions[0].Type]);
      expect(actions).toEqual([
        [443, 'HTTPS', 'forward'],
        [80, 'HTTP', 'redirect'],
      ]);
      expect(listeners[1].DefaultActions[0].RedirectConfig).toMatchObject({
        Port: '443',
        StatusCode: 'HTTP_301',
      });
      expect(listeners[0].Certificates).toEqual([
        { CertificateArn: 'arn:aws:acm:eu-central-1:111122223333:certificate/one' },
      ]);
      expect(main.all('AWS::EC2::VPC')).toEqual({});
      expect(
        main.one('AWS::ECS::Service', 'AgentService').NetworkConfiguration.AwsvpcConfiguration.Subnets,
      ).toEqual(['subnet-c', 'subnet-d']);
      const gateway = main.containers('GatewayTask')['gateway'];
      expect([gateway.Cpu, gateway.Memory]).toEqual([2_560, 9_728]);
      expect(JSON.stringify(gateway.Image)).toContain(':v1');
      const agent = main.containers('AgentTask')['agent'];
      expect(JSON.stringify(agent.Image)).toContain(':v2');
      expect(agent.Environment).toContainEqual({ Name: 'SEARCH_PROVIDER', Value: 'tavily' });
      expect(main.one('AWS::Lambda::Function').Environment.Variables.MAX_WORKERS).toBe('40');
      expect(main.one('AWS::SNS::Subscription').Endpoint).toBe('on-call@example.com');
    },
    SYNTHESIS_MS,
  );

  const refusalOf = (given: Record<string, string>): string => {
    try {
      readOptions((name) => given[name]);
    } catch (error) {
      if (error instanceof RefusedDeployment) return error.message;
      throw error;
    }
    throw new Error('nothing was refused');
  };

  it('are refused all at once when they are wrong', () => {
    const wrong = {
      account: '1',
      maxWorkers: 'many',
      alarmEmail: 'nobody',
      certificateArn: 'arn:aws:iam::1:x',
    };
    const lines = refusalOf(wrong).split('\n').slice(1);
    expect(lines.map((line) => /^ {2}- (\w+): ./.exec(line)?.[1]).sort()).toEqual(Object.keys(wrong).sort());
  });

  it.each([
    [{ vpcId: 'vpc-1' }, 'give all four, or none'],
    [{ agentTaskMemory: '8192' }, 'agentTaskMemory: with 512 CPU units, from 1024 to 4096 in steps of 1024'],
    [{ gatewayTaskCpu: '3000' }, 'gatewayTaskCpu: must be one of 512, 1024, 2048, 4096, 8192'],
    [{ minWorkers: '12' }, 'minWorkers: must not be above maxWorkers'],
    [{ searchProvider: 'searxng' }, 'searchApiUrl: needed by searchProvider=searxng'],
  ])('are refused when they do not go together: %j', (given, problem) => {
    expect(refusalOf(given)).toContain(problem);
  });

  it('are listed in infra/README.md', () => {
    const readme = readFileSync(`${PROJECT}infra/README.md`, 'utf8');
    const listed = [...readme.matchAll(/^\| `(\w+)` +\|/gm)].map(([, name]) => name);
    expect(listed).toEqual(OPTION_NAMES);
  });
});
