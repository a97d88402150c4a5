/** The names and numbers of the architecture. docs/aws.md says what stands for what. */

export const CLUSTER = 'euglena-cluster';
export const GATEWAY_SERVICE = 'euglena-gateway';
export const AGENT_SERVICE = 'euglena-agent';
export const NAMESPACE = 'euglena.local';
/** Where agents find the engines: an A record with the address of the gateway's task. */
export const GATEWAY_HOST = `${GATEWAY_SERVICE}.${NAMESPACE}`;
export const REPOSITORIES = { gateway: 'euglena/gateway', agent: 'euglena/agent' } as const;
export const SECRET = 'euglena/secret';
export const LOG_GROUP = '/ecs/euglena';
export const LAMBDA = 'lambda-autoscaling';
export const QUEUE = 'agent.mandates';
export const METRICS_NAMESPACE = 'Euglena/RabbitMQ';

export const PORTS = {
  gateway: 8080,
  agent: 8081,
  metrics: 8082,
  redis: 6379,
  rabbitmq: 5672,
  chroma: 8000,
  nfs: 2049,
  http: 80,
  https: 443,
} as const;

/** The keys of the secret. Their values are never in a template: ECS reads each when it starts the container that needs it. */
export const SECRET_KEYS = {
  gateway: [
    'SUPABASE_URL',
    'SUPABASE_ANON_KEY',
    'SUPABASE_API_KEY',
    'SUPABASE_JWT_SECRET',
    'SUPABASE_ALLOW_UNCONFIRMED',
  ],
  agent: ['OPENAI_API_KEY', 'SEARCH_API_KEY'],
  rabbitmq: ['RABBITMQ_ERLANG_COOKIE'],
} as const;

/** The first part of the names of log streams, one for each container. */
export const STREAM_PREFIXES = ['gateway', 'agent', 'redis', 'rabbitmq', 'chroma', 'metrics'] as const;

/** The addresses of the engines as a container sees them that runs at `host`. RabbitMQ's user is its published default. */
export function engineAddresses(host: string) {
  return {
    REDIS_URL: `redis://${host}:${PORTS.redis}/0`,
    RABBITMQ_URL: `amqp://guest:guest@${host}:${PORTS.rabbitmq}/`,
    CHROMA_URL: `http://${host}:${PORTS.chroma}`,
  };
}
