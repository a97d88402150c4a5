import { Controller, Get, Inject, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import { type Caller } from '../ports/identity/identity.port.js';
import { QUOTA, type Quota } from '../ports/quota/quota.port.js';
import { AuthGuard, CurrentCaller } from './auth.guard.js';
import { quotaToApi } from './quota-usage.js';

class QuotaShape {
  @ApiProperty({ description: 'Ticks a day.' }) limit!: number;
  @ApiProperty({ description: 'Used, or reserved by unfinished tasks.' }) used!: number;
  @ApiProperty() remaining!: number;
  @ApiProperty({ format: 'date-time', description: 'The next UTC midnight.' }) resets_at!: string;
}

@ApiTags('quota')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Controller('quota')
export class QuotaController {
  constructor(@Inject(QUOTA) private readonly quota: Quota) {}

  @Get()
  @ApiOperation({ summary: 'What is left of your daily ticks' })
  @ApiOkResponse({ type: QuotaShape })
  async usage(@CurrentCaller() caller: Caller) {
    return quotaToApi(await this.quota.usage(caller.userId));
  }
}
