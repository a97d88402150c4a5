import { createParamDecorator, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { AuthGuard as PassportGuard } from '@nestjs/passport';
import { type FastifyRequest } from 'fastify';
import passport, { Strategy, type StrategyCreated } from 'passport';
import { ExtractJwt } from 'passport-jwt';
import { EuglenaError } from '../domain/errors.js';
import { type Caller, IDENTITY, type Identity } from '../ports/identity/identity.port.js';
import { timesSent } from './raw-headers.js';

export interface AuthenticatedRequest extends FastifyRequest {
  caller?: Caller;
}

/** RFC 6750, 2.1; the scheme's name has no case (RFC 9110, 11.1). */
const BEARER = /^bearer +\S+ *$/i;
const readBearer = ExtractJwt.fromAuthHeaderAsBearerToken();

/** The one credential of a request. Two of them are ambiguous. */
function tokenOf({ headers, raw: { rawHeaders } }: FastifyRequest): string | null {
  const wellFormed = timesSent('authorization', rawHeaders) === 1 && BEARER.test(headers.authorization ?? '');
  return wellFormed ? readBearer({ headers }) : null;
}

const STRATEGY = 'access-token';

/**
 * Passport's strategy for access tokens: passport-jwt reads the header, and the identity that the guard hands over
 * verifies the token. Without state of its own: passport knows one strategy by a name in the whole process.
 */
class AccessTokenStrategy extends Strategy {
  override authenticate(
    this: StrategyCreated<this>,
    request: unknown,
    options: { identity: Identity },
  ): void {
    const token = tokenOf(request as FastifyRequest);
    if (token === null) return this.fail('Bearer', 401);
    options.identity.verify(token).then(
      (caller) => this.success(caller),
      (error: unknown) => this.error(error),
    );
  }
}

passport.use(STRATEGY, new AccessTokenStrategy());

/** Lets nobody in without a good `Authorization: Bearer` token. Guards run before a body is validated. */
@Injectable()
export class AuthGuard extends PassportGuard(STRATEGY) {
  constructor(@Inject(IDENTITY) private readonly identity: Identity) {
    super({ property: 'caller', session: false });
  }

  override getAuthenticateOptions() {
    return { identity: this.identity };
  }

  /** Passport's outcome in our words: what the identity threw, or that nothing was sent that it could look at. */
  override handleRequest<T = Caller>(error: unknown, caller: T | false): T {
    if (error) throw error as Error;
    if (!caller) {
      throw new EuglenaError('unauthenticated', 'Send an access token: "Authorization: Bearer <token>".');
    }
    return caller;
  }
}

/** The caller that {@link AuthGuard} found, as a parameter of a controller's method. */
export const CurrentCaller = createParamDecorator((_data: unknown, context: ExecutionContext): Caller => {
  const { caller } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (caller === undefined) throw new Error('a route without AuthGuard asked for its caller');
  return caller;
});
