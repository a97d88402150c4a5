import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { PROJECT } from './dockerfile.js';

/** Parsed JSON of no particular type. */
export type Json = ReturnType<typeof JSON.parse>;
type Context = Readonly<Record<string, string>>;

/** No credentials, no home with any, and no way out: every proxy leads nowhere. */
const OFFLINE = {
  PATH: process.env['PATH'],
  HOME: '/nonexistent',
  HTTP_PROXY: 'http://127.0.0.1:9',
  HTTPS_PROXY: 'http://127.0.0.1:9',
  AWS_EC2_METADATA_DISABLED: 'true',
  CI: 'true',
};

/** A template of CloudFormation, as far as the tests look into it. */
export class Template {
  constructor(readonly json: Json) {}

  /** The resources of a type by their logical ids. */
  all(type: string): Record<string, Json> {
    const found = Object.entries<Json>(this.json.Resources).filter(([, { Type }]) => Type === type);
    return Object.fromEntries(found);
  }

  /** The properties of every resource of a type. */
  properties(type: string): Json[] {
    return Object.values(this.all(type)).map(({ Properties }) => Properties);
  }

  /** The logical id of the one resource of a type whose id begins so. */
  id(type: string, start = ''): string {
    const [found, ...more] = Object.keys(this.all(type)).filter((id) => id.startsWith(start));
    if (found === undefined || more.length > 0) throw new Error(`not one ${type} ${start}`);
    return found;
  }

  /** The one resource of a type whose logical id begins so. */
  one(type: string, start = ''): Json {
    return this.all(type)[this.id(type, start)].Properties;
  }

  /** The containers of a task by their names. */
  containers(task: 'GatewayTask' | 'AgentTask'): Record<string, Json> {
    const { ContainerDefinitions: all } = this.one('AWS::ECS::TaskDefinition', task);
    return Object.fromEntries(all.map((container: Json) => [container.Name, container]));
  }
}

/** What a container's environment says; a secret's value is the key that it is taken from. */
export function environmentOf(container: Json): Record<string, string> {
  const pairs = (container.Environment ?? []).map(({ Name, Value }: Json) => [Name, Value]);
  return Object.fromEntries(pairs);
}

/** The key of the secret for each variable that is taken from it. */
export function secretsOf(container: Json): Record<string, string> {
  const pairs = (container.Secrets ?? []).map(({ Name, ValueFrom }: Json) => [
    Name,
    /:(\w+)::$/.exec(asText(ValueFrom))?.[1] ?? asText(ValueFrom),
  ]);
  return Object.fromEntries(pairs);
}

/** A value with its references in angle brackets. */
export function asText(value: Json): string {
  if (typeof value === 'string') return value;
  if (value?.['Fn::Join'] !== undefined) return value['Fn::Join'][1].map(asText).join(value['Fn::Join'][0]);
  if (value?.Ref !== undefined) return `<${value.Ref}>`;
  if (value?.['Fn::GetAtt'] !== undefined) return `<${value['Fn::GetAtt'].join('.')}>`;
  if (value?.['Fn::ImportValue'] !== undefined) return `<${asText(value['Fn::ImportValue'])}>`;
  return JSON.stringify(value);
}

/** What was synthesized, in a folder of its own. */
export interface Synthesized {
  readonly folder: string;
  readonly main: Template;
  readonly foundation: Template;
  remove(): void;
}

function read(folder: string): Synthesized {
  const template = (name: string) =>
    new Template(JSON.parse(readFileSync(join(folder, `${name}.template.json`), 'utf8')));
  return {
    folder,
    main: template('Euglena'),
    foundation: template('EuglenaFoundation'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

const temporaryFolder = () => mkdtempSync(join(tmpdir(), 'euglena-cdk-'));

/** Runs `cdk synth`, with all checks and nothing to reach AWS with, as `npm run infra:synth` does after its build. */
export function runCdkSynth(): Synthesized {
  const folder = temporaryFolder();
  execFileSync(process.execPath, ['node_modules/.bin/cdk', 'synth', '--quiet', '--output', folder], {
    cwd: PROJECT,
    env: OFFLINE,
    stdio: 'pipe',
  });
  return read(folder);
}

/**
 * The app as the `cdk` command runs it, without that command and without CloudFormation's schemas, which take most of the
 * time. Built in a folder of its own, so that tests may run at once.
 */
export class InfrastructureApp {
  private readonly build = mkdtempSync(join(PROJECT, 'infra/build-'));

  constructor() {
    const { build } = JSON.parse(readFileSync(join(PROJECT, 'cdk.json'), 'utf8')) as { build: string };
    const command = build.replace('infra/build', `infra/${basename(this.build)}`);
    execFileSync('npx', ['--no-install', ...command.split(' ')], { cwd: PROJECT, stdio: 'pipe' });
  }

  synthesize(context: Context = {}): Synthesized {
    const folder = temporaryFolder();
    execFileSync(process.execPath, [join(this.build, 'app.js')], {
      cwd: PROJECT,
      env: {
        ...OFFLINE,
        CDK_OUTDIR: folder,
        CDK_CONTEXT_JSON: JSON.stringify(context),
        CDK_VALIDATION: 'false',
      },
      stdio: 'pipe',
    });
    return read(folder);
  }

  remove(): void {
    rmSync(this.build, { recursive: true, force: true });
  }
}
