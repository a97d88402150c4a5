import { describe, expect, it } from '@jest/globals';
import { type AdapterChoice, chooseAdapter, forbiddenFallbacks, portsOf } from './adapter-choice.js';
import { type Environment, readSettings } from './settings.js';

describe('the ports of a role', () => {
  it('are those that its graph holds', () => {
    const of = (env: Environment) => portsOf(readSettings(env));
    expect(of({ EUGLENA_ROLE: 'autoscaler' })).toEqual(['presence', 'fleet-metrics', 'fleet']);
    expect(of({ EUGLENA_ROLE: 'agent' })).not.toContain('quota');
    for (const role of ['gateway', 'agent', 'metrics', 'autoscaler'] as const) {
      expect(of({})).toEqual(expect.arrayContaining([...of({ EUGLENA_ROLE: role })]));
    }
  });

  it('are not those of an agent where the agents are processes of their own', () => {
    const settings = readSettings({ EUGLENA_AUTOSCALE: 'true' });
    expect(settings.parts).toEqual(['gateway', 'metrics', 'autoscaler']);
    expect(settings.autoscaler).toEqual({ dryRun: false, intervalMs: 10_000 });
    expect(portsOf(settings)).not.toContain('language-model');
    expect(() => readSettings({ EUGLENA_AUTOSCALE: 'true', EUGLENA_ROLE: 'agent' })).toThrow(
      'EUGLENA_AUTOSCALE: works in role all only',
    );
  });
});

describe('the adapter of the quota', () => {
  const PROJECT = { SUPABASE_URL: 'https://project.supabase.example', SUPABASE_API_KEY: 'key' };
  it.each<[string, Environment, AdapterChoice]>([
    ['nothing set', {}, { adapter: 'SQLite', embedded: true }],
    [
      'GATEWAY_TEST_MODE',
      { ...PROJECT, GATEWAY_TEST_MODE: 'true' },
      { adapter: 'none (GATEWAY_TEST_MODE)', embedded: true },
    ],
    ['SUPABASE_URL alone', { SUPABASE_URL: PROJECT.SUPABASE_URL }, { adapter: 'SQLite', embedded: true }],
    ['SUPABASE_URL and SUPABASE_API_KEY', PROJECT, { adapter: 'Supabase', embedded: false }],
  ])('with %s; in production an embedded one is a forbidden fallback', (_what, env, choice) => {
    const settings = readSettings(env);
    expect(chooseAdapter('quota', settings)).toEqual(choice);
    const forbidden = forbiddenFallbacks({ ...settings, parts: ['gateway'], production: true });
    expect(forbidden.includes('quota')).toBe(choice.embedded);
  });
});

describe('the adapter of the identity', () => {
  const SECRET = 'a project secret of 32 characters and more';
  const URL = 'https://p.supabase.co';

  it.each([
    [{}, 'local signing secret', true],
    [{ SUPABASE_JWT_SECRET: SECRET }, 'Supabase (HS256 secret)', false],
    [{ SUPABASE_URL: URL }, 'Supabase (JWKS)', false],
    [{ SUPABASE_URL: URL, SUPABASE_JWT_SECRET: SECRET }, 'Supabase (HS256 secret, JWKS)', false],
  ])('is chosen by %j: %s', (env, adapter, embedded) => {
    const settings = readSettings({ EUGLENA_ROLE: 'gateway', NODE_ENV: 'production', ...env });
    expect(chooseAdapter('identity', settings)).toEqual({ adapter, embedded });
    expect(forbiddenFallbacks(settings).includes('identity')).toBe(embedded);
  });

  it.each([
    'https://user@p.supabase.co',
    'https://:word@p.supabase.co',
    'https://p.co/?a',
    'https://p.co/#a',
  ])('is not to be at %s: the address of a project is the beginning of its issuer', (url) => {
    expect(() => readSettings({ SUPABASE_URL: url })).toThrow('SUPABASE_URL: must hold no user name');
  });
});

describe('the adapters of the fleet', () => {
  const ECS = { ECS_CLUSTER: 'c', ECS_SERVICE: 's', AWS_REGION: 'us-east-2' };
  it.each<[Environment, AdapterChoice, AdapterChoice]>([
    [{}, { adapter: 'SQLite', embedded: true }, { adapter: 'child processes', embedded: true }],
    [
      ECS,
      { adapter: 'CloudWatch', embedded: false },
      { adapter: 'ECS service s of cluster c', embedded: false },
    ],
    [
      { ECS_ENABLED: 'true', AWS_REGION: 'us-east-2' },
      { adapter: 'CloudWatch', embedded: false },
      { adapter: 'child processes', embedded: true },
    ],
  ])('with %j are %j and %j', (env, metrics, fleet) => {
    const settings = readSettings(env);
    expect(chooseAdapter('fleet-metrics', settings)).toEqual(metrics);
    expect(chooseAdapter('fleet', settings)).toEqual(fleet);
  });

  it.each<[Environment, string]>([
    [{ ECS_CLUSTER: 'c' }, 'ECS_SERVICE: needed by ECS_CLUSTER'],
    [{ ECS_SERVICE: 's' }, 'ECS_CLUSTER: needed by ECS_SERVICE'],
    [{ ECS_CLUSTER: 'c', ECS_SERVICE: 's' }, 'AWS_REGION: needed by ECS_CLUSTER'],
    [{ ECS_ENABLED: '1', EUGLENA_ROLE: 'metrics' }, 'AWS_REGION: needed by ECS_ENABLED'],
    [{ ECS_ENABLED: '1', EUGLENA_ROLE: 'autoscaler' }, 'ECS_CLUSTER: needed by ECS_ENABLED'],
    [{ ECS_ENABLED: '1', EUGLENA_ROLE: 'agent' }, 'ECS_AGENT_URI: needed by ECS_ENABLED'],
  ])('are not half chosen: %j', (env, problem) => {
    expect(() => readSettings(env)).toThrow(problem);
  });

  it('give an agent on ECS its protection, and a gateway there nothing to set', () => {
    const agent = { ECS_ENABLED: 'true', ECS_AGENT_URI: 'http://169.254.170.2/api/1', EUGLENA_ROLE: 'agent' };
    expect(readSettings(agent).ecs.agentUri).toBe('http://169.254.170.2/api/1');
    expect(readSettings({ ...agent, ECS_ENABLED: 'false' }).ecs.agentUri).toBeNull();
    expect(readSettings({ ECS_ENABLED: 'true', EUGLENA_ROLE: 'gateway' }).ecs.agentUri).toBeNull();
  });
});
