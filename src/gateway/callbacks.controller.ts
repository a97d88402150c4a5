import { Controller, Get, Inject, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiTags } from '@nestjs/swagger';
import { EuglenaError } from '../domain/errors.js';
import { CALLBACKS, type Callbacks } from '../ports/callback/callback.port.js';
import { type Caller } from '../ports/identity/identity.port.js';
import { AccessGuard } from './access.guard.js';
import { CurrentCaller } from './auth.guard.js';
import { DescribeCallbackSecret } from './tasks.docs.js';

/** What a receiver of callbacks needs to know. */
@ApiTags('callbacks')
@ApiBearerAuth()
@UseGuards(AccessGuard)
@Controller('callbacks')
export class CallbacksController {
  constructor(@Inject(CALLBACKS) private readonly callbacks: Callbacks) {}

  @Get('secret')
  @DescribeCallbackSecret()
  secret(@CurrentCaller() caller: Caller): { secret: string } {
    const secret = this.callbacks.secretOf(caller.userId);
    if (secret === null) throw new EuglenaError('not_found', 'This server sends no callbacks.');
    return { secret };
  }
}
