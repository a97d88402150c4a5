import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { ROLES } from '../../src/config/known-settings.js';
import { readSettings } from '../../src/config/settings.js';
import { isIgnored } from '../support/docker-ignore.js';
import { Dockerfile, PROJECT } from '../support/dockerfile.js';

const IMAGES = ['gateway', 'agent'] as const;
const dockerfiles = IMAGES.map((role) => new Dockerfile(`Dockerfile.${role}`));

describe.each(IMAGES)('Dockerfile.%s', (role) => {
  const dockerfile = new Dockerfile(`Dockerfile.${role}`);

  it('builds on Node 24 slim in every stage', () => {
    expect(dockerfile.stages.map(({ base, name }) => [base, name])).toEqual([
      ['node:24-slim', 'build'],
      ['node:24-slim', 'dependencies'],
      ['node:24-slim', null],
    ]);
  });

  it('copies only what exists and what .dockerignore lets through', () => {
    const sources = dockerfile.copies.filter(({ from }) => from === null).flatMap((copy) => copy.sources);
    expect(sources.length).toBeGreaterThan(0);
    for (const source of sources) {
      expect([source, existsSync(`${PROJECT}${source}`), isIgnored(source)]).toEqual([source, true, false]);
    }
  });

  it('copies from stages that are there', () => {
    const stages = dockerfile.stages.map(({ name }) => name);
    const taken = dockerfile.copies.flatMap(({ from }) => (from === null ? [] : [from]));
    expect([...new Set(taken)].sort()).toEqual(['build', 'dependencies']);
    expect(stages).toEqual(expect.arrayContaining(taken));
  });

  it('installs before it copies sources, so that a changed source installs nothing', () => {
    const [build] = dockerfile.stages;
    const steps = build?.instructions.map(({ keyword, text }) => `${keyword} ${text}`) ?? [];
    expect(steps.indexOf('RUN npm ci')).toBeGreaterThan(0);
    expect(steps.indexOf('COPY src ./src')).toBeGreaterThan(steps.indexOf('RUN npm ci'));
  });

  it('takes its modules from an install without development dependencies, and installs nothing itself', () => {
    const modules = dockerfile.all('COPY').filter((text) => text.includes('node_modules'));
    expect(modules).toEqual(['--from=dependencies /app/node_modules ./node_modules']);
    const installs = dockerfile.all('RUN', dockerfile.stages[1]).filter((text) => text.includes('npm ci'));
    expect(installs).toEqual([expect.stringContaining('npm ci --omit=dev')]);
    expect(dockerfile.all('RUN').join()).not.toContain('npm');
  });

  it('runs as a user who is not root and may write the data folder only', () => {
    expect(dockerfile.one('USER')).toBe('node');
    expect(dockerfile.all('RUN')).toEqual(['mkdir /data && chown node:node /data']);
    expect(dockerfile.environment['EUGLENA_DATA_DIR']).toBe('/data');
    expect(dockerfile.all('COPY').join()).not.toContain('--chown');
  });

  it('starts Node without a shell, so that SIGTERM reaches it, and leaves arguments to the caller', () => {
    expect(dockerfile.entryPoint).toEqual(['node', 'dist/main.js']);
    expect(dockerfile.all('CMD')).toEqual([]);
    expect(dockerfile.all('STOPSIGNAL')).toEqual([]);
  });

  it('checks its health with a program that the image holds', () => {
    const [program, script = ''] = dockerfile.healthCheck;
    expect(program).toBe('node');
    expect(dockerfile.copies.map(({ sources }) => sources)).toContainEqual([script]);
  });

  it('is in production, of its role, and says its port', () => {
    const settings = readSettings(dockerfile.environment);
    expect(settings).toMatchObject({ role, production: true, host: '0.0.0.0' });
    expect(dockerfile.one('EXPOSE')).toBe(String(settings.port));
  });
});

it('both images hold the same: they differ in role, port and title', () => {
  const [gateway, agent] = dockerfiles;
  expect(gateway?.stages.slice(0, -1)).toEqual(agent?.stages.slice(0, -1));
  const own = ['LABEL', 'ENV', 'EXPOSE'];
  const rest = (dockerfile?: Dockerfile) =>
    dockerfile?.final.instructions.filter(({ keyword }) => !own.includes(keyword));
  expect(rest(gateway)).toEqual(rest(agent));
});

describe('.dockerignore', () => {
  const copied = dockerfiles.flatMap(({ copies }) => copies).flatMap(({ sources }) => sources);

  it('lets nothing into a build that no Dockerfile copies', () => {
    const through = readdirSync(PROJECT).filter((name) => !isIgnored(name));
    expect(through.filter((name) => !copied.includes(name))).toEqual([]);
  });

  it.each([
    '.env',
    '.git',
    '.euglena/identity.secret',
    'node_modules/zod',
    'dist/main.js',
    'deploy/redis.conf',
  ])('keeps %s out', (path) => expect(isIgnored(path)).toBe(true));

  it('keeps unit specs out and their subjects in', () => {
    expect(isIgnored('src/domain/task.spec.ts')).toBe(true);
    expect(isIgnored('src/domain/task.ts')).toBe(false);
  });
});

describe('deploy/health-check.js', () => {
  it('knows the port of every role', () => {
    const list =
      /ROLE_PORTS = \[(.*)\]/.exec(readFileSync(`${PROJECT}deploy/health-check.js`, 'utf8'))?.[1] ?? '';
    const ports = list.split(', ').map((port) => Number(port.replaceAll("'", '')));
    const expected = ROLES.map((role) => readSettings({ EUGLENA_ROLE: role }).port);
    expect(ports).toEqual([...new Set(expected)].sort());
  });
});
