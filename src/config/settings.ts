import {
  environment,
  type GivenSettings,
  type Part,
  PARTS,
  type PortName,
  type Role,
} from './known-settings.js';
import { crossCheck, usesCloudWatch } from './setting-rules.js';

const HTTP_PORT: Record<Role, number> = {
  gateway: 8080,
  agent: 8081,
  metrics: 8082,
  autoscaler: 8083,
  all: 8080,
};

export type Environment = Readonly<Record<string, string | undefined>>;

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

/** An autoscaled installation on one host has its agents in processes of their own. */
function partsOf(role: Role, autoscale: boolean): readonly Part[] {
  if (role !== 'all') return [role];
  return autoscale ? PARTS.filter((part) => part !== 'agent') : PARTS;
}

function assemble(env: GivenSettings) {
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
