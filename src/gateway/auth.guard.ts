import {
  type CanActivate,
  createParamDecorator,
  type ExecutionContext,
  Inject,
  Injectable,
} from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { EuglenaError } from '../domain/errors.js';
import { type Caller, IDENTITY, type Identity } from '../ports/identity/identity.port.js';

export interface AuthenticatedRequest extends FastifyRequest {
  caller?: Caller;
}

/** RFC 6750, 2.1; the scheme's name has no case (RFC 9110, 11.1). */
const BEARER = /^bearer +(\S+) *$/i;

/** Lets nobody in without a good `Authorization: Bearer` token. Guards run before a body is validated. */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(@Inject(IDENTITY) private readonly identity: Identity) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const token = BEARER.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) {
      throw new EuglenaError('unauthenticated', 'Send an access token: "Authorization: Bearer <token>".');
    }
    request.caller = await this.identity.verify(token);
    return true;
  }
}

/** The caller that {@link AuthGuard} found, as a parameter of a controller's method. */
export const CurrentCaller = createParamDecorator((_data: unknown, context: ExecutionContext): Caller => {
  const { caller } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (caller === undefined) throw new Error('a route without AuthGuard asked for its caller');
  return caller;
});
