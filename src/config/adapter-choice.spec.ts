import { describe, expect, it } from '@jest/globals';
import { chooseAdapter, forbiddenFallbacks, portsOf } from './adapter-choice.js';
import { readSettings } from './settings.js';

describe('the ports of a role', () => {
  it('are those that its graph holds', () => {
    expect(portsOf('autoscaler')).toEqual(['presence', 'fleet-metrics', 'fleet']);
    expect(portsOf('agent')).not.toContain('quota');
    for (const role of ['gateway', 'agent', 'metrics', 'autoscaler'] as const) {
      expect(portsOf('all')).toEqual(expect.arrayContaining([...portsOf(role)]));
    }
  });
});

describe('the adapter of the quota', () => {
  it.each([
    ['false', 'SQLite'],
    ['true', 'none (GATEWAY_TEST_MODE)'],
  ])('is embedded with GATEWAY_TEST_MODE=%s: %s', (testMode, adapter) => {
    const settings = readSettings({ GATEWAY_TEST_MODE: testMode });
    expect(chooseAdapter('quota', settings)).toEqual({ adapter, embedded: true });
    expect(forbiddenFallbacks({ ...settings, role: 'gateway', production: true })).toContain('quota');
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
