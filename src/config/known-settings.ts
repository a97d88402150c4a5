import { z } from 'zod';
import {
  blank,
  flag,
  integer,
  list,
  optionalDecimal,
  optionalInteger,
  optionalText,
  optionalUrl,
} from './setting-kinds.js';
import { parseUrl } from '../domain/parse-url.js';

export const ROLES = ['gateway', 'agent', 'metrics', 'autoscaler', 'all'] as const;
export type Role = (typeof ROLES)[number];

/** What a process can be made of: a role is one of these, `all` is several. */
export const PARTS = ['gateway', 'agent', 'metrics', 'autoscaler'] as const;
export type Part = (typeof PARTS)[number];

/** The ports with a choice of adapter, by the names that `EUGLENA_ALLOW_EMBEDDED` takes. */
export const PORT_NAMES = [
  'task-store',
  'work-queue',
  'presence',
  'agent-memory',
  'identity',
  'quota',
  'language-model',
  'web-search',
  'fleet-metrics',
  'fleet',
] as const;
export type PortName = (typeof PORT_NAMES)[number];

const portList = list.refine(
  (names) => names.every((name) => (PORT_NAMES as readonly string[]).includes(name)),
  `must be a comma-separated list of: ${PORT_NAMES.join(', ')}`,
);
const originList = list.refine(
  (origins) => origins.every((origin) => parseUrl(origin)?.origin === origin),
  'must be a comma-separated list of origins such as https://app.example.com',
);

/** Every setting by its environment name. `.env.example` explains each; a test holds the two together. */
export const environment = z.object({
  EUGLENA_ROLE: z.preprocess(blank, z.enum(ROLES, `must be one of: ${ROLES.join(', ')}`).default('all')),
  EUGLENA_AUTOSCALE: flag,
  NODE_ENV: optionalText,
  EUGLENA_DATA_DIR: z.preprocess(blank, z.string().trim().default('.euglena')),
  EUGLENA_ALLOW_EMBEDDED: portList,
  HOST: optionalText,
  PORT: optionalInteger(0, 65_535),
  ENGINE_WAIT_SECONDS: integer(1, 3_600, 60),
  METRICS_PORT: optionalInteger(1, 65_535),
  OTEL_EXPORTER_OTLP_ENDPOINT: optionalUrl('http:', 'https:'),
  LOG_LEVEL: z.preprocess(
    blank,
    z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  ),

  REDIS_URL: optionalUrl('redis:', 'rediss:'),
  RABBITMQ_URL: optionalUrl('amqp:', 'amqps:'),
  RABBITMQ_MANAGEMENT_URL: optionalUrl('http:', 'https:'),
  RABBITMQ_ERLANG_COOKIE: optionalText,
  CHROMA_URL: optionalUrl('http:', 'https:'),
  QUEUE_NAME: z.preprocess(
    blank,
    z
      .string()
      .trim()
      .regex(/^[A-Za-z0-9._-]{1,200}$/, 'must be 1 to 200 letters, digits, ".", "_" or "-"')
      .default('agent.mandates'),
  ),

  SUPABASE_URL: optionalUrl('http:', 'https:'),
  SUPABASE_ANON_KEY: optionalText,
  SUPABASE_API_KEY: optionalText,
  SUPABASE_JWT_SECRET: z.preprocess(
    blank,
    z.string().min(32, 'must have at least 32 characters: HS256 is only as strong as its secret').optional(),
  ),
  SUPABASE_ALLOW_UNCONFIRMED: flag,

  DAILY_TICK_LIMIT: integer(1, 1_000_000, 256),
  GATEWAY_TEST_MODE: flag,
  TASK_RETENTION_DAYS: integer(1, 365, 7),
  USER_MAX_ACTIVE_TASKS: integer(1, 100_000, 100),
  RATE_LIMIT_PER_MINUTE: integer(1, 1_000_000, 600),
  CORS_ALLOWED_ORIGINS: originList,
  CALLBACK_SECRET: z.preprocess(
    blank,
    z.string().min(32, 'must have at least 32 characters: it signs what users receive').optional(),
  ),

  AGENT_STATUS_TIME: integer(1, 300, 10),
  AGENT_CONCURRENCY: optionalInteger(1, 1_000),
  TASK_DEADLINE_SECONDS: integer(10, 86_400, 1_500),
  RECALL_EARLIER_TASKS: flag,

  OPENAI_API_KEY: optionalText,
  MODEL_API_URL: optionalUrl('http:', 'https:'),
  MODEL_NAME: optionalText,
  MODEL_CONTEXT_TOKENS: integer(2_048, 10_000_000, 16_384),
  MODEL_MAX_TOKENS: integer(64, 1_000_000, 4_096),
  MODEL_TEMPERATURE: optionalDecimal(0, 2),
  EMBEDDING_MODEL: optionalText,

  SEARCH_PROVIDER: z.preprocess(
    blank,
    z
      .enum(['corpus', 'tavily', 'brave', 'searxng'], 'must be one of: corpus, tavily, brave, searxng')
      .optional(),
  ),
  SEARCH_API_KEY: optionalText,
  SEARCH_API_URL: optionalUrl('http:', 'https:'),
  SEARCH_CORPUS_DIR: optionalText,
  VISIT_USER_AGENT: z.preprocess(
    blank,
    z
      .string()
      .trim()
      .regex(
        /^[A-Za-z][\x20-\x7e]{0,199}$/,
        'must be up to 200 printable ASCII characters that begin with a name',
      )
      .optional(),
  ),
  VISIT_ROBOTS: z.preprocess(
    blank,
    z.enum(['respect', 'ignore'], 'must be one of: respect, ignore').default('respect'),
  ),

  AUTOSCALER_POLICY: z.preprocess(
    blank,
    z.enum(['backlog', 'queue-depth'], 'must be one of: backlog, queue-depth').default('backlog'),
  ),
  AUTOSCALER_DRY_RUN: flag,
  AUTOSCALER_INTERVAL_SECONDS: optionalInteger(1, 3_600),
  SCALE_IN_AFTER_SECONDS: integer(0, 3_600, 300),
  TARGET_MESSAGES_PER_WORKER: integer(1, 10_000, 1),
  MIN_WORKERS: integer(0, 1_000, 1),
  MAX_WORKERS: integer(1, 1_000, 11),
  ECS_ENABLED: flag,
  ECS_AGENT_URI: optionalUrl('http:'),
  ECS_CLUSTER: optionalText,
  ECS_SERVICE: optionalText,
  AWS_REGION: optionalText,
  AWS_ENDPOINT_URL: optionalUrl('http:', 'https:'),
});

/** The settings as they were given, each valid by itself. */
export type GivenSettings = z.infer<typeof environment>;

/** The names of all settings, for the documentation test. */
export const SETTING_NAMES = Object.keys(environment.shape);
