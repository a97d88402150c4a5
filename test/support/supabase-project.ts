import { type LoggerService } from '@nestjs/common';
import { type Environment } from '../../src/config/settings.js';
import { systemClock } from '../../src/config/system-clock.js';
import { type Clock } from '../../src/domain/clock.js';
import { SubmissionService } from '../../src/gateway/submission.service.js';
import { type JwtCase, JwtForge, publicJwk } from '../contract/identity.jwt-cases.js';
import { type GatewayApp, startGateway } from './gateway-app.js';
import { startSupabaseAuthServer, type SupabaseAuthServer } from './supabase-auth-server.js';

/** The user of the corpus. */
export const USER = '11111111-1111-4111-8111-111111111111';
export const ANON_KEY = 'the-anon-key-of-the-project';

/** A gateway for the users of a project, and the project's Auth server. */
export interface SupabaseProject {
  readonly gateway: GatewayApp;
  readonly server: SupabaseAuthServer;
  readonly clock: Clock;
  /** Everything that was logged. */
  readonly log: string[];
  /** A task of the corpus's user. */
  readonly task: string;
  close(): Promise<void>;
}

export async function startSupabaseProject(
  mode: JwtCase['mode'],
  env: Environment = { SUPABASE_ALLOW_UNCONFIRMED: 'true' },
  clock: Clock = systemClock,
): Promise<SupabaseProject> {
  const server = await startSupabaseAuthServer([publicJwk('es1'), publicJwk('rs1')]);
  const secret = new JwtForge(0).secret.toString();
  const log: string[] = [];
  const note = (...parts: unknown[]) => void log.push(parts.map(String).join(' '));
  const logger: LoggerService = { log: note, warn: note, error: note, debug: note, verbose: note };
  const gateway = await startGateway({
    clock,
    logger,
    env: {
      ...(mode === 'legacy' ? {} : { SUPABASE_URL: server.url }),
      ...(mode === 'jwks' ? {} : { SUPABASE_JWT_SECRET: secret }),
      SUPABASE_ANON_KEY: ANON_KEY,
      DAILY_TICK_LIMIT: '1000000',
      ...env,
    },
  });
  const submissions = gateway.app.get(SubmissionService, { strict: false });
  const task = await submissions.submit({ owner: USER, mandate: 'own', maxTicks: 5 });
  const close = async () => {
    await gateway.close();
    await server.close();
  };
  return { gateway, server, clock, log, task: task.correlationId, close };
}
