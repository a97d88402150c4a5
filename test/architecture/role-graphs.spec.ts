import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { type DynamicModule, type Type } from '@nestjs/common';
import { rootModule } from '../../src/boot/role-graph.js';
import { type Role, ROLES } from '../../src/config/known-settings.js';
import { readSettings } from '../../src/config/settings.js';
import { ManualClock } from '../support/manual-clock.js';

/** Every role: the settings, the handles on the data folder and on Redis, and health. */
const BASE = ['EmbeddedDatabase', 'Health', 'Redis', 'RoleHealth', 'Root', 'Settings', 'Terminus'];
const MODULES: Record<Exclude<Role, 'all'>, readonly string[]> = {
  gateway: ['Callback', 'Gateway', 'Identity', 'Presence', 'Quota', 'TaskStore', 'WorkQueue'],
  agent: [
    'Agent',
    'AgentMemory',
    'Corpus',
    'LanguageModel',
    'PageReader',
    'Presence',
    'TaskProtection',
    'TaskStore',
    'WebSearch',
    'WorkQueue',
  ],
  metrics: ['FleetMetrics', 'Metrics', 'Presence', 'WorkQueue'],
  autoscaler: ['Autoscaler', 'Fleet', 'FleetMetrics', 'Presence'],
};
/** Modules that provide no port under their own name. */
const NOT_PORTS = ['Agent', 'Autoscaler', 'Corpus', 'Gateway', 'Metrics'];

const SECRETS = {
  SUPABASE_URL: 'https://project.supabase.example',
  SUPABASE_ANON_KEY: 'secret-anon-key',
  SUPABASE_API_KEY: 'secret-service-key',
  SUPABASE_JWT_SECRET: 'secret-for-signing-with-32-characters',
  CALLBACK_SECRET: 'secret-of-callbacks-with-32-characters',
  OPENAI_API_KEY: 'secret-model-key',
  SEARCH_API_KEY: 'secret-search-key',
};

interface Provider {
  readonly provide?: unknown;
}

const readMetadata = <T>(key: string, module: Type): readonly T[] =>
  (Reflect.getMetadata(key, module) as readonly T[] | undefined) ?? [];

/** The names of the modules and the symbols of the providers that Nest would build, found as Nest finds them. */
function graphOf(role: Role): { modules: string[]; tokens: string[] } {
  const modules = new Set<string>();
  const tokens = new Set<string>();
  const walk = (module: Type | DynamicModule) => {
    const type = 'module' in module ? module.module : module;
    const dynamic = 'module' in module ? module : null;
    modules.add(type.name.replace(/Module$/, ''));
    const providers = [...readMetadata<Provider>('providers', type), ...(dynamic?.providers ?? [])];
    for (const provider of providers) {
      if ('provide' in provider && typeof provider.provide === 'symbol')
        tokens.add(provider.provide.description ?? '');
    }
    const imports = [...readMetadata<Type>('imports', type), ...(dynamic?.imports ?? [])];
    for (const next of imports) walk(next as Type | DynamicModule);
  };
  walk(rootModule(readSettings({ EUGLENA_ROLE: role }), new ManualClock()));
  return { modules: [...modules].sort(), tokens: [...tokens].sort() };
}

function modulesOf(role: Role): string[] {
  const own = role === 'all' ? Object.values(MODULES).flat() : MODULES[role];
  return [...new Set([...BASE, ...own])].sort();
}

describe.each(ROLES)('the graph of role %s', (role) => {
  it('holds exactly the modules that the role needs', () => {
    expect(graphOf(role).modules).toEqual(modulesOf(role));
  });

  it('provides exactly the ports of these modules', () => {
    const ports = modulesOf(role).filter((name) => ![...BASE, ...NOT_PORTS].includes(name));
    const expected = [...ports, 'Settings', 'Clock', 'OpenEmbedded', 'OpenRedis', 'HealthChecks'].sort();
    expect(graphOf(role).tokens).toEqual(expected);
  });
});

describe('a role holds no key that it does not need', () => {
  const secretsOf = (role: Role) => {
    const settings = JSON.stringify(
      readSettings({ ...SECRETS, SEARCH_PROVIDER: 'brave', EUGLENA_ROLE: role }),
    );
    return Object.entries(SECRETS).flatMap(([name, value]) => (settings.includes(value) ? [name] : []));
  };

  it('the agent, which reads untrusted pages, has nothing of Supabase', () => {
    expect(secretsOf('agent')).toEqual(['OPENAI_API_KEY', 'SEARCH_API_KEY']);
  });

  it('the gateway has no key of the model or the search', () => {
    expect(secretsOf('gateway')).toEqual([
      'SUPABASE_URL',
      'SUPABASE_ANON_KEY',
      'SUPABASE_API_KEY',
      'SUPABASE_JWT_SECRET',
      'CALLBACK_SECRET',
    ]);
  });

  it.each(['metrics', 'autoscaler'] as const)('%s has none at all', (role) => {
    expect(secretsOf(role)).toEqual([]);
  });
});
