import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { type FastifyReply } from 'fastify';
import { CLOCK, SETTINGS } from '../config/settings.module.js';
import { type Settings } from '../config/settings.js';
import { type Clock } from '../domain/clock.js';
import { EuglenaError } from '../domain/errors.js';
import { AuthGuard, type AuthenticatedRequest } from './auth.guard.js';
import { type Taken, TokenBuckets } from './token-buckets.js';

/** One network address may stand for many users, or for a whole load balancer. */
const USERS_OF_AN_ADDRESS = 10;

/** Counts the requests of users, and the failures of addresses that send no good token. One for all routes. */
@Injectable()
export class RateLimits {
  readonly users: TokenBuckets;
  readonly failures: TokenBuckets;

  constructor(@Inject(SETTINGS) { gateway }: Settings, @Inject(CLOCK) clock: Clock) {
    this.users = new TokenBuckets(gateway.rateLimitPerMinute, clock);
    this.failures = new TokenBuckets(gateway.rateLimitPerMinute * USERS_OF_AN_ADDRESS, clock);
  }
}

/**
 * Lets users in, `RATE_LIMIT_PER_MINUTE` requests a minute each, and tells them what is left. Nobody is kept out for what
 * others at the same address do: too many bad tokens from one address are answered 429, good ones as ever.
 */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly auth: AuthGuard,
    private readonly limits: RateLimits,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<AuthenticatedRequest>();
    const { users, failures } = this.limits;
    try {
      await this.auth.canActivate(context);
    } catch (error) {
      if (isRefusal(error))
        refuseBeyond(failures.take(request.ip), 'Too many requests without a good token.');
      throw error;
    }
    const taken = users.take(request.caller?.userId ?? '');
    tell(http.getResponse<FastifyReply>(), users.perMinute, taken);
    refuseBeyond(taken, `More than ${users.perMinute} requests a minute.`);
    return true;
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof EuglenaError && (error.code === 'unauthenticated' || error.code === 'forbidden');
}

function refuseBeyond({ allowed, retryAfterSeconds }: Taken, detail: string): void {
  if (!allowed) throw new EuglenaError('rate_limited', detail, { retryAfterSeconds });
}

/** The fields of the IETF draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers-10). */
function tell(reply: FastifyReply, perMinute: number, { left, fullInSeconds }: Taken): void {
  void reply.header('ratelimit-policy', `"user";q=${perMinute};w=60`);
  void reply.header('ratelimit', `"user";r=${left};t=${fullInSeconds}`);
}
