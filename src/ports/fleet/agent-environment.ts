import { type Environment } from '../../config/settings.js';

/** Keys of other roles: an agent reads untrusted pages and must not hold them. */
const NOT_FOR_AGENTS = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'CALLBACK_SECRET',
  'SUPABASE_ANON_KEY',
  'SUPABASE_API_KEY',
  'SUPABASE_JWT_SECRET',
  'RABBITMQ_ERLANG_COOKIE',
];

/**
 * The environment of an agent on this host: its parent's, without the keys of other roles, with the agent's role, the
 * same data folder, and a free port on the loopback interface for its health. The parent has the port for figures, and
 * several agents could not share one: empty, so that a `.env` does not give it back.
 */
export function agentEnvironment(parent: Environment, dataDir: string): Environment {
  const inherited = Object.entries(parent).filter(([name]) => !NOT_FOR_AGENTS.includes(name));
  return {
    ...Object.fromEntries(inherited),
    EUGLENA_ROLE: 'agent',
    EUGLENA_AUTOSCALE: '',
    EUGLENA_DATA_DIR: dataDir,
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_PORT: '',
  };
}
