import { z } from 'zod';

export const ROLES = ['gateway', 'agent', 'metrics', 'autoscaler', 'all'] as const;
export type Role = (typeof ROLES)[number];

/** What a process can be made of: a role is one of these, `all` is several. */
const PARTS = ['gateway', 'agent', 'metrics', 'autoscaler'] as const;
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

const HTTP_PORT: Record<Role, number> = {
  gateway: 8080,
  agent: 8081,
  metrics: 8082,
  autoscaler: 8083,
  all: 8080,
};

const blank = (value: unknown) => (typeof value === 'string' && value.trim() === '' ? undefined : value);
const optionalText = z.preprocess(blank, z.string().trim().optional());
const integer = (min: number, max: number, fallback: number) =>
  z.preprocess(
    blank,
    z
      .string()
      .trim()
      .regex(/^\d+$/, 'must be a whole number')
      .transform(Number)
      .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
      .default(fallback),
  );
const optionalInteger = (min: number, max: number) =>
  z.preprocess(
    blank,
    z
      .string()
      .trim()
      .regex(/^\d+$/, 'must be a whole number')
      .transform(Number)
      .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
      .optional(),
  );
const optionalDecimal = (min: number, max: number) =>
  z.preprocess(
    blank,
    z
      .string()
      .trim()
      .regex(/^\d+(\.\d+)?$/, 'must be a number such as 0.2')
      .transform(Number)
      .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
      .optional(),
  );
const flag = z.preprocess(
  blank,
  z
    .string()
    .trim()
    .toLowerCase()
    .refine((value) => ['true', 'false', '1', '0'].includes(value), 'must be true or false')
    .transform((value) => value === 'true' || value === '1')
    .default(false),
);
const optionalUrl = (...protocols: string[]) =>
  z.preprocess(
    blank,
    z
      .string()
      .trim()
      .refine(
        (value) => {
          const url = URL.canParse(value) ? new URL(value) : null;
          return url !== null && protocols.includes(url.protocol);
        },
        `must be a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
      )
      .optional(),
  );
const list = z.preprocess(blank, z.string().default('')).transform((value) =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);
const portList = list.refine(
  (names) => names.every((name) => (PORT_NAMES as readonly string[]).includes(name)),
  `must be a comma-separated list of: ${PORT_NAMES.join(', ')}`,
);
const originList = list.refine(
  (origins) => origins.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin),
  'must be a comma-separated list of origins such as https://app.example.com',
);

/** Every setting by its environment name. `.env.example` explains each; a test holds the two together. */
const environment = z.object({
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

export type Environment = Readonly<Record<string, string | undefined>>;
/** The names of all settings, for the documentation test. */
export const SETTING_NAMES = Object.keys(environment.shape);

/** What a role was started with: validated, frozen, without what the role does not need. */
export type Settings = Readonly<ReturnType<typeof assemble>>;

/** All that is wrong with the environment, one line for each problem. */
export class InvalidSettings extends Error {
  override readonly name = 'InvalidSettings';
  constructor(readonly problems: readonly string[]) {
    super(`The settings are invalid:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

/**
 * Validates the environment for a role.
 * @throws InvalidSettings with every problem at once.
 */
export function readSettings(env: Environment): Settings {
  const parsed = environment.safeParse(env);
  if (!parsed.success) {
    throw new InvalidSettings(
      parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
    );
  }
  const problems = crossCheck(parsed.data);
  if (problems.length > 0) throw new InvalidSettings(problems);
  return deepFreeze(assemble(parsed.data));
}

type Parsed = z.infer<typeof environment>;

/** Which settings groups a role gets; a role that reads untrusted pages must not hold the gateway's keys. */
const serves = (role: Role, ...roles: Role[]): boolean => role === 'all' || roles.includes(role);

/** Whether an address says where something is and nothing else: paths are put behind it, and the log shows it. */
function isPlain(url: string): boolean {
  const { username, password, search, hash } = new URL(url);
  return [username, password, search, hash].every((part) => part === '');
}

/** Whether the figures of the fleet go to CloudWatch: the process runs on ECS, or scales a service there. */
const usesCloudWatch = (env: Parsed): boolean => env.ECS_ENABLED || env.ECS_CLUSTER !== undefined;

function checkAws(env: Parsed): string[] {
  const problems: string[] = [];
  const role = env.EUGLENA_ROLE;
  const needs = (name: 'ECS_CLUSTER' | 'ECS_SERVICE' | 'ECS_AGENT_URI' | 'AWS_REGION', by: string) => {
    if (env[name] === undefined) problems.push(`${name}: needed by ${by}`);
  };
  if (env.ECS_SERVICE !== undefined) needs('ECS_CLUSTER', 'ECS_SERVICE');
  if (env.ECS_CLUSTER !== undefined) needs('ECS_SERVICE', 'ECS_CLUSTER');
  if (env.ECS_ENABLED && role === 'autoscaler') needs('ECS_CLUSTER', 'ECS_ENABLED in role autoscaler');
  if (env.ECS_ENABLED && role === 'agent') {
    needs('ECS_AGENT_URI', 'ECS_ENABLED in role agent; ECS gives it to every container');
  }
  if (usesCloudWatch(env) && serves(role, 'metrics', 'autoscaler')) {
    needs('AWS_REGION', env.ECS_ENABLED ? 'ECS_ENABLED' : 'ECS_CLUSTER');
  }
  return problems;
}

function crossCheck(env: Parsed): string[] {
  const problems = checkAws(env);
  if (env.SUPABASE_URL !== undefined && !isPlain(env.SUPABASE_URL)) {
    problems.push('SUPABASE_URL: must hold no user name, password, query or fragment');
  }
  if (env.MODEL_MAX_TOKENS > env.MODEL_CONTEXT_TOKENS / 2) {
    problems.push(
      'MODEL_MAX_TOKENS: must be at most half of MODEL_CONTEXT_TOKENS, which holds the request too',
    );
  }
  if (env.EUGLENA_AUTOSCALE && env.EUGLENA_ROLE !== 'all') {
    problems.push('EUGLENA_AUTOSCALE: works in role all only');
  }
  if (env.MIN_WORKERS > env.MAX_WORKERS) {
    problems.push(`MIN_WORKERS: must not be above MAX_WORKERS (${env.MIN_WORKERS} > ${env.MAX_WORKERS})`);
  }
  if ((env.SEARCH_PROVIDER === 'tavily' || env.SEARCH_PROVIDER === 'brave') && !env.SEARCH_API_KEY) {
    problems.push(`SEARCH_API_KEY: needed by SEARCH_PROVIDER=${env.SEARCH_PROVIDER}`);
  }
  if (env.SEARCH_PROVIDER === 'searxng' && !env.SEARCH_API_URL) {
    problems.push('SEARCH_API_URL: needed by SEARCH_PROVIDER=searxng');
  }
  if (env.SEARCH_API_URL !== undefined && !isPlain(env.SEARCH_API_URL)) {
    problems.push('SEARCH_API_URL: must hold no user name, password, query or fragment');
  }
  if ((env.SEARCH_API_KEY || env.SEARCH_API_URL) && (env.SEARCH_PROVIDER ?? 'corpus') === 'corpus') {
    problems.push(
      'SEARCH_PROVIDER: tavily, brave or searxng; without it SEARCH_API_KEY and SEARCH_API_URL have no effect',
    );
  }
  if (env.SUPABASE_API_KEY && !env.SUPABASE_URL) {
    problems.push('SUPABASE_URL: needed by SUPABASE_API_KEY, which would have no effect');
  }
  if (env.NODE_ENV === 'production' && env.GATEWAY_TEST_MODE) {
    problems.push('GATEWAY_TEST_MODE: switches the quota off and is refused when NODE_ENV=production');
  }
  return problems;
}

/** An autoscaled installation on one host has its agents in processes of their own. */
function partsOf(role: Role, autoscale: boolean): readonly Part[] {
  if (role !== 'all') return [role];
  return autoscale ? PARTS.filter((part) => part !== 'agent') : PARTS;
}

function assemble(env: Parsed) {
  const role = env.EUGLENA_ROLE;
  const parts = partsOf(role, env.EUGLENA_AUTOSCALE);
  const gateway = parts.includes('gateway');
  const agent = parts.includes('agent');
  const production = env.NODE_ENV === 'production';
  return {
    role,
    /** What runs in this process. */
    parts,
    production,
    dataDir: env.EUGLENA_DATA_DIR,
    allowEmbedded: env.EUGLENA_ALLOW_EMBEDDED as PortName[],
    host: env.HOST ?? (production || role !== 'all' ? '0.0.0.0' : '127.0.0.1'),
    port: env.PORT ?? HTTP_PORT[role],
    /** How long a role waits at its start for an engine that is down. */
    engineWaitMs: env.ENGINE_WAIT_SECONDS * 1_000,
    logLevel: env.LOG_LEVEL,
    observability: {
      metricsPort: env.METRICS_PORT ?? null,
      otlpEndpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT ?? null,
    },
    redisUrl: env.REDIS_URL ?? null,
    rabbitmqUrl: env.RABBITMQ_URL ?? null,
    rabbitmqManagementUrl: env.RABBITMQ_MANAGEMENT_URL ?? null,
    chromaUrl: agent ? (env.CHROMA_URL ?? null) : null,
    queueName: env.QUEUE_NAME,
    retentionDays: env.TASK_RETENTION_DAYS,
    supabase: {
      url: gateway ? (env.SUPABASE_URL ?? null) : null,
      anonKey: gateway ? (env.SUPABASE_ANON_KEY ?? null) : null,
      apiKey: gateway ? (env.SUPABASE_API_KEY ?? null) : null,
      jwtSecret: gateway ? (env.SUPABASE_JWT_SECRET ?? null) : null,
      allowUnconfirmed: env.SUPABASE_ALLOW_UNCONFIRMED,
    },
    gateway: {
      dailyTickLimit: env.DAILY_TICK_LIMIT,
      testMode: env.GATEWAY_TEST_MODE,
      userMaxActiveTasks: env.USER_MAX_ACTIVE_TASKS,
      rateLimitPerMinute: env.RATE_LIMIT_PER_MINUTE,
      corsAllowedOrigins: env.CORS_ALLOWED_ORIGINS,
      callbackSecret: gateway ? (env.CALLBACK_SECRET ?? null) : null,
      bodyLimitBytes: 1_048_576,
    },
    agent: {
      statusIntervalMs: env.AGENT_STATUS_TIME * 1_000,
      /** A lease and a presence outlive three missed heartbeats. */
      leaseMs: env.AGENT_STATUS_TIME * 3_000,
      concurrency: env.AGENT_CONCURRENCY ?? (role === 'all' ? 8 : 1),
      deadlineMs: env.TASK_DEADLINE_SECONDS * 1_000,
      /** Whether a task also recalls what its user's earlier tasks read. */
      recallEarlierTasks: env.RECALL_EARLIER_TASKS,
    },
    model: {
      apiUrl: agent ? (env.MODEL_API_URL ?? null) : null,
      apiKey: agent ? (env.OPENAI_API_KEY ?? null) : null,
      name: env.MODEL_NAME ?? 'gpt-4o-mini',
      /** What a request and its reply may have together. */
      contextTokens: env.MODEL_CONTEXT_TOKENS,
      /** What a reply may have. */
      maxTokens: env.MODEL_MAX_TOKENS,
      /** Null: the endpoint's own. */
      temperature: env.MODEL_TEMPERATURE ?? null,
      embeddingName: env.EMBEDDING_MODEL ?? null,
    },
    search: {
      provider: env.SEARCH_PROVIDER ?? 'corpus',
      apiKey: agent ? (env.SEARCH_API_KEY ?? null) : null,
      apiUrl: agent ? (env.SEARCH_API_URL ?? null) : null,
      corpusDir: env.SEARCH_CORPUS_DIR ?? null,
    },
    pages: {
      /** What websites are told; null for this version's own. */
      userAgent: env.VISIT_USER_AGENT ?? null,
      respectRobots: env.VISIT_ROBOTS === 'respect',
    },
    scaling: {
      policy: env.AUTOSCALER_POLICY,
      targetMessagesPerWorker: env.TARGET_MESSAGES_PER_WORKER,
      minWorkers: env.MIN_WORKERS,
      maxWorkers: env.MAX_WORKERS,
      scaleInAfterMs: env.SCALE_IN_AFTER_SECONDS * 1_000,
    },
    autoscaler: {
      /** An agent in the same process cannot be ended alone. */
      dryRun: env.AUTOSCALER_DRY_RUN || agent,
      intervalMs: (env.AUTOSCALER_INTERVAL_SECONDS ?? (env.EUGLENA_AUTOSCALE ? 10 : 120)) * 1_000,
    },
    ecs: {
      /** Where a task asks to be left alone while it works; null where no platform ends workers. */
      agentUri: agent && env.ECS_ENABLED ? (env.ECS_AGENT_URI ?? null) : null,
      /** The service that the autoscaler sizes; null: child processes of the autoscaler. */
      service:
        env.ECS_CLUSTER === undefined || env.ECS_SERVICE === undefined
          ? null
          : { cluster: env.ECS_CLUSTER, name: env.ECS_SERVICE },
    },
    aws: {
      /** Where the figures of the fleet go and come from: CloudWatch, or this host's data folder. */
      cloudWatch: usesCloudWatch(env),
      region: env.AWS_REGION ?? null,
      /** Replaces the addresses of all AWS services: an emulator, a private endpoint. */
      endpointUrl: env.AWS_ENDPOINT_URL ?? null,
    },
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
