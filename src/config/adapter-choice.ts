import { type Part, PORT_NAMES, type PortName } from './known-settings.js';
import { type Settings } from './settings.js';

/** Which adapter serves a port, as the start-up log says it. */
export interface AdapterChoice {
  readonly adapter: string;
  /** Runs on this host with nothing installed; refused in production unless `EUGLENA_ALLOW_EMBEDDED` names the port. */
  readonly embedded: boolean;
}

const PORTS_OF_PART: Record<Part, readonly PortName[]> = {
  gateway: ['task-store', 'work-queue', 'presence', 'identity', 'quota'],
  agent: ['task-store', 'work-queue', 'presence', 'agent-memory', 'language-model', 'web-search'],
  metrics: ['work-queue', 'presence', 'fleet-metrics'],
  autoscaler: ['presence', 'fleet-metrics', 'fleet'],
};

/** The ports that a process's graph holds. */
export function portsOf({ parts }: Pick<Settings, 'parts'>): readonly PortName[] {
  return PORT_NAMES.filter((port) => parts.some((part) => PORTS_OF_PART[part].includes(port)));
}

const CHOOSE: Record<PortName, (settings: Settings) => AdapterChoice> = {
  'task-store': ({ redisUrl }) => (redisUrl === null ? embedded('SQLite') : distributed('Redis')),
  'work-queue': ({ rabbitmqUrl }) => (rabbitmqUrl === null ? embedded('SQLite') : distributed('RabbitMQ')),
  presence: ({ redisUrl }) => (redisUrl === null ? embedded('SQLite') : distributed('Redis')),
  'agent-memory': ({ chromaUrl }) =>
    chromaUrl === null ? embedded('SQLite full-text search') : distributed('ChromaDB'),
  identity: ({ supabase: { jwtSecret, url } }) => {
    const keys = [...(jwtSecret === null ? [] : ['HS256 secret']), ...(url === null ? [] : ['JWKS'])];
    return keys.length === 0
      ? embedded('local signing secret')
      : distributed(`Supabase (${keys.join(', ')})`);
  },
  quota: ({ gateway, supabase }) => {
    if (gateway.testMode) return embedded('none (GATEWAY_TEST_MODE)');
    return supabase.url === null || supabase.apiKey === null ? embedded('SQLite') : distributed('Supabase');
  },
  'language-model': ({ model }) =>
    model.apiUrl === null && model.apiKey === null
      ? embedded('extractive (offline, no model)')
      : distributed(`${model.name} at ${model.apiUrl ?? 'api.openai.com'}`),
  'web-search': ({ search: { provider, apiUrl, corpusDir } }) =>
    provider === 'corpus'
      ? embedded(`corpus of documents (${corpusDir ?? "this project's docs"})`)
      : distributed(apiUrl === null ? provider : `${provider} at ${new URL(apiUrl).host}`),
  'fleet-metrics': ({ aws }) => (aws.cloudWatch ? distributed('CloudWatch') : embedded('SQLite')),
  fleet: ({ ecs: { service } }) =>
    service === null
      ? embedded('child processes')
      : distributed(`ECS service ${service.name} of cluster ${service.cluster}`),
};

/** The adapter of one port. Chosen by the presence of its settings, each port on its own. */
export function chooseAdapter(port: PortName, settings: Settings): AdapterChoice {
  return CHOOSE[port](settings);
}

/** The ports of this role that would fall back to an embedded adapter without being allowed to, in production. */
export function forbiddenFallbacks(settings: Settings): PortName[] {
  if (!settings.production) return [];
  return portsOf(settings).filter(
    (port) => chooseAdapter(port, settings).embedded && !settings.allowEmbedded.includes(port),
  );
}

function embedded(adapter: string): AdapterChoice {
  return { adapter, embedded: true };
}

function distributed(adapter: string): AdapterChoice {
  return { adapter, embedded: false };
}
