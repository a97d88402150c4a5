import { type GivenSettings, type Role } from './known-settings.js';

/** Which settings groups a role gets; a role that reads untrusted pages must not hold the gateway's keys. */
const serves = (role: Role, ...roles: Role[]): boolean => role === 'all' || roles.includes(role);

/** Whether an address says where something is and nothing else: paths are put behind it, and the log shows it. */
function isPlain(url: string): boolean {
  const { username, password, search, hash } = new URL(url);
  return [username, password, search, hash].every((part) => part === '');
}

/** Whether the figures of the fleet go to CloudWatch: the process runs on ECS, or scales a service there. */
export const usesCloudWatch = (env: GivenSettings): boolean =>
  env.ECS_ENABLED || env.ECS_CLUSTER !== undefined;

function checkAws(env: GivenSettings): string[] {
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

/** What is wrong with settings that are valid each by itself, one line for each problem. */
export function crossCheck(env: GivenSettings): string[] {
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
