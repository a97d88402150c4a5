import { Controller, Get, Inject, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller } from '../ports/identity/identity.port.js';
import { QUOTA, type Quota } from '../ports/quota/quota.port.js';
import { AccessGuard } from './access.guard.js';
import { ApiAnswer, ApiUsersFailures, RATE_HEADERS } from './api-answers.js';
import { CurrentCaller } from './auth.guard.js';
import { quotaToApi } from './quota-usage.js';
import { QuotaShape } from './task-shapes.js';

@ApiTags('quota')
@ApiBearerAuth()
@UseGuards(AccessGuard)
@Controller('quota')
export class QuotaController {
  constructor(@Inject(QUOTA) private readonly quota: Quota) {}

  @Get()
  @ApiOperation({ operationId: 'getQuota', summary: 'What is left of your daily ticks' })
  @ApiAnswer(200, { type: QuotaShape, description: 'The quota of the UTC day.', headers: RATE_HEADERS })
  @ApiUsersFailures()
  async usage(@CurrentCaller() caller: Caller) {
    return quotaToApi(await this.quota.usage(caller.userId));
  }
}
