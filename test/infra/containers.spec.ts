import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import {
  environmentOf,
  InfrastructureApp,
  type Json,
  secretsOf,
  type Template,
} from '../support/aws-templates.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { Dockerfile, PROJECT } from '../support/dockerfile.js';
import { EuglenaApi } from '../support/euglena-api.js';
import { eventually } from '../support/eventually.js';
import { startModelServer } from '../support/model-server.js';
import { type AwsServer, startAwsServer } from '../support/servers/aws-server.js';
import { type ChromaProcess, startChroma } from '../support/servers/chroma-server.js';
import { SERVICE_KEY, startPostgrest } from '../support/servers/postgrest-server.js';
import { type PrivateRabbitMqServer, startPrivateRabbitMq } from '../support/servers/rabbitmq-server.js';
import { type PrivateRedisServer, startPrivateRedis } from '../support/servers/redis-server.js';
import { openPglite, type SupabaseDatabase } from '../support/servers/supabase-database.js';
import { run, type StagedContainer, startContainer } from '../support/staged-container.js';

/** The containers of infra/'s tasks, taken from the synthesized template and started here against real engines. */

const STARTING_MS = 180_000;
const JWT_SECRET = 'the JWT secret of a project that only this test has';
const folder = temporaryDataDir();

let template: Template;
let redis: PrivateRedisServer;
let rabbitmq: PrivateRabbitMqServer;
let chroma: ChromaProcess;
let aws: AwsServer;
/** The agent's task, as ECS names it. */
let runningAgent = '';
let database: SupabaseDatabase;
let supabase: Awaited<ReturnType<typeof startPostgrest>>;
let model: Awaited<ReturnType<typeof startModelServer>>;
const running: StagedContainer[] = [];

const containerOf = (name: string): Json =>
  ({ ...template.containers('GatewayTask'), ...template.containers('AgentTask') })[name];

beforeAll(async () => {
  const app = new InfrastructureApp();
  try {
    const synthesized = app.synthesize();
    template = synthesized.main;
    synthesized.remove();
  } finally {
    app.remove();
  }
  const { EUGLENA_REDIS_CONF: redisConf = '' } = environmentOf(containerOf('redis'));
  const { EUGLENA_RABBITMQ_CONF: rabbitConf = '' } = environmentOf(containerOf('rabbitmq'));
  const redisFile = join(folder.path, 'redis.conf');
  writeFileSync(redisFile, redisConf.replace('dir /data', `dir ${folder.path}`));
  [redis, rabbitmq, chroma, database, model] = await Promise.all([
    startPrivateRedis('--include', redisFile),
    startPrivateRabbitMq(rabbitConf),
    startChroma(),
    openPglite(),
    startModelServer({ script: () => ({ action: 'EXIT', argument: 'An answer.' }) }),
  ]);
  supabase = await startPostgrest(database);
  aws = await startAwsServer();
  aws.ecs.create('euglena-cluster', 'euglena-agent', 1);
  await eventually('the task of the agent runs', async () => agentTasks().length === 1);
  runningAgent = agentTasks()[0] ?? '';
}, STARTING_MS);

afterAll(async () => {
  await Promise.all(running.map((container) => container.kill()));
  await Promise.all([
    redis?.stop(),
    rabbitmq?.stop(),
    chroma?.stop(),
    supabase?.stop(),
    model?.close(),
    aws?.close(),
  ]);
  await database?.close();
  folder.remove();
}, STARTING_MS);

const agentTasks = () => aws.ecs.running('euglena-cluster', 'euglena-agent');

/** What Secrets Manager would hold. */
const secretValues = (): Record<string, string> => ({
  SUPABASE_URL: supabase.url,
  SUPABASE_ANON_KEY: '',
  SUPABASE_API_KEY: SERVICE_KEY,
  SUPABASE_JWT_SECRET: JWT_SECRET,
  SUPABASE_ALLOW_UNCONFIRMED: 'true',
  OPENAI_API_KEY: 'a key',
  SEARCH_API_KEY: '',
});

/** Where each address of the template is, on this host. */
function here(value: string): string {
  const places = {
    'localhost:6379': redis.url,
    'euglena-gateway.euglena.local:6379': redis.url,
    'localhost:5672': rabbitmq.url,
    'euglena-gateway.euglena.local:5672': rabbitmq.url,
    'localhost:15672': rabbitmq.managementUrl,
    'euglena-gateway.euglena.local:8000': chroma.url,
  };
  const moved = Object.entries(places).reduce(
    (text, [name, url]) => text.replace(name, new URL(url).host),
    value,
  );
  return moved.replace('https://api.openai.com/v1', model.url);
}

/** What a container would see. Its files cannot be changed: here, there is no place where it could make a folder. */
function environmentIn(container: Json): Record<string, string> {
  const values = secretValues();
  const secrets = Object.entries(secretsOf(container)).map(([name, key]) => [name, values[key] ?? '']);
  const plain = Object.entries(environmentOf(container)).map(([name, value]) => [name, here(value)]);
  const nowhere = { EUGLENA_DATA_DIR: '/dev/null/data' };
  return { ...platformOf(), ...Object.fromEntries([...plain, ...secrets]), ...nowhere };
}

/** What ECS gives to every container by itself, and where its services are here. */
const platformOf = () => ({ ...aws.environment, ECS_AGENT_URI: aws.agentUri(runningAgent) });

/** The image's program in the project's own folder: test/e2e/containers.spec.ts shows that images hold what they need. */
async function start(name: string): Promise<StagedContainer> {
  const image = new Dockerfile(name === 'agent' ? 'Dockerfile.agent' : 'Dockerfile.gateway');
  const definition = containerOf(name);
  const container = await startContainer(
    image,
    { root: PROJECT, remove: () => undefined },
    { env: environmentIn(definition), args: definition.Command },
  );
  running.push(container);
  return container;
}

function token(): Promise<string> {
  return new SignJWT({ role: 'authenticated', session_id: '22222222-2222-4222-8222-222222222222' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('11111111-1111-4111-8111-111111111111')
    .setIssuer(`${supabase.url}/auth/v1`)
    .setAudience('authenticated')
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(Buffer.from(JWT_SECRET));
}

describe('the roles', () => {
  it.each(['gateway', 'metrics', 'agent'])(
    '%s starts with the command and the environment of its container',
    async (name) => {
      const container = await start(name);
      expect(container.output()).toContain(`role ${name} · `);
      const ready = async () => (await fetch(`${container.url}/health/ready`)).status === 200;
      await eventually(`${name} is ready`, ready, 60_000);
      expect(await container.checkHealth()).toBe(0);
    },
    STARTING_MS,
  );

  it(
    'work together: a task is taken, worked on by an agent, charged, and every agent is counted',
    async () => {
      const api = new EuglenaApi(running[0]?.url ?? '', await token());
      const { id } = await api.submit('What is the answer?', 5);
      await api.journal(id);
      expect(await api.task(id)).toMatchObject({ status: 'completed', result: { answer: 'An answer.' } });
      expect(await api.agents()).toBe(1);
      await eventually('the unused ticks are back', async () => (await api.quotaUsed()) === 1);
      expect(model.calls).toHaveLength(1);
      const asked = aws.calls.filter(({ operation }) => operation === 'PUT TaskProtection');
      expect(asked[0]?.input).toMatchObject({ ProtectionEnabled: true });
      expect(model.calls[0]?.headers.authorization).toBe('Bearer a key');
    },
    STARTING_MS,
  );

  it('put the figures that the Lambda function reads, and it sets the number of agents', async () => {
    const put = aws.calls.find(({ operation }) => operation === 'PutMetricData');
    const names = (put?.input['MetricData'] as { MetricName: string }[]).map(({ MetricName }) => MetricName);
    const ofTheQueue = template
      .properties('AWS::CloudWatch::Alarm')
      .filter(({ Namespace }) => Namespace === 'Euglena/RabbitMQ');
    expect(put?.input['Namespace']).toBe('Euglena/RabbitMQ');
    for (const { MetricName } of ofTheQueue) expect(names).toContain(MetricName);

    const backlog = { QueueDepth: 60, InFlight: 0, BusyWorkers: 0 };
    for (const [MetricName, Value] of Object.entries(backlog)) {
      aws.cloudWatch.plant('Euglena/RabbitMQ', {
        MetricName,
        Dimensions: [{ Name: 'QueueName', Value: 'agent.mandates' }],
        Timestamp: Date.now() / 1_000,
        Value,
        StorageResolution: 1,
      });
    }
    const { Environment, Handler } = template.one('AWS::Lambda::Function');
    const [file, name] = Handler.split('.');
    const script = `const { ${name}: run } = await import('${PROJECT}dist/${file}.js'); await run({});`;
    const env = { ...aws.environment, ...Environment.Variables };
    const { code } = await run(['node', '--input-type=module', '-e', script], PROJECT, env);
    expect(code).toBe(0);
    const updates = aws.calls.filter(({ operation }) => operation === 'UpdateService');
    expect(updates.map(({ input }) => input)).toEqual([
      { cluster: 'euglena-cluster', service: 'euglena-agent', desiredCount: 11 },
    ]);
  });

  it(
    'pass the smoke script, and fail it without a good token',
    async () => {
      const url = running[0]?.url ?? '';
      const smoke = async (given: string) =>
        run(['node', 'scripts/smoke.js', url], PROJECT, { PATH: process.env['PATH'], EUGLENA_TOKEN: given });
      const good = await smoke(await token());
      expect(good.stdout.match(/^ok .*$/gm)).toHaveLength(6);
      expect([good.code, good.stdout]).toEqual([0, expect.stringContaining('All steps passed.')]);
      const bad = await smoke('nobody');
      expect([bad.code, bad.stdout]).toEqual([1, expect.stringContaining('3 of 6 steps failed.')]);
      expect(bad.stdout).toMatch(/^FAIL Flow 1: POST \/tasks \(\d+ ms\): expected 202, got 401/m);
    },
    STARTING_MS,
  );

  it(
    'end with 0 upon SIGTERM',
    async () => {
      const codes = await Promise.all(running.splice(0).map((container) => container.stop()));
      expect(codes).toEqual([0, 0, 0]);
    },
    STARTING_MS,
  );
});

describe('the commands of the engines', () => {
  const place = join(folder.path, 'engine');
  const program = join(place, 'docker-entrypoint.sh');

  /** Runs a container's command where its folders are and with a program in the place of the image's. */
  function runCommand(name: string, secrets: Record<string, string>): string {
    const { EntryPoint, Command, ...container } = containerOf(name);
    const moved = Command.map((words: string) =>
      words.replaceAll(/\/etc\/rabbitmq\/conf\.d|\/var\/lib\/rabbitmq|\/tmp(?=\/)/g, place),
    );
    const [shell, ...rest] = [...EntryPoint, ...moved];
    const env = { PATH: `${place}:${process.env['PATH'] ?? ''}`, ...environmentOf(container), ...secrets };
    return execFileSync(shell, rest, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  }
  const text = (name: string) => readFileSync(join(place, name), 'utf8');

  beforeAll(() => {
    mkdirSync(place, { recursive: true });
    writeFileSync(program, '#!/bin/sh\necho "$@ ${RABBITMQ_ERLANG_COOKIE-no cookie}"\n');
    chmodSync(program, 0o755);
  });

  it('give Redis its settings, and start it', () => {
    expect(runCommand('redis', {})).toBe(`redis-server ${place}/redis.conf no cookie`);
    expect(text('redis.conf')).toBe(`${environmentOf(containerOf('redis'))['EUGLENA_REDIS_CONF']}\n`);
  });

  it.each(['first cookie', 'second cookie'])(
    'give RabbitMQ its settings and the %s, and start it',
    (cookie) => {
      expect(runCommand('rabbitmq', { RABBITMQ_ERLANG_COOKIE: cookie })).toBe('rabbitmq-server no cookie');
      expect(text('20-euglena.conf')).toBe(
        `${environmentOf(containerOf('rabbitmq'))['EUGLENA_RABBITMQ_CONF']}\n`,
      );
      expect(text('.erlang.cookie')).toBe(cookie);
      expect(statSync(join(place, '.erlang.cookie')).mode & 0o777).toBe(0o600);
    },
  );

  it('leave RabbitMQ the cookie that it has when the secret is empty', () => {
    writeFileSync(join(place, '.erlang.cookie'), 'its own');
    runCommand('rabbitmq', { RABBITMQ_ERLANG_COOKIE: '' });
    expect(text('.erlang.cookie')).toBe('its own');
  });
});
