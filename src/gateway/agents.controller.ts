import { Controller, Get, Inject, Logger } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { PRESENCE, type Presence } from '../ports/presence/presence.port.js';

/** How many workers live. Open to everybody, and never an error: the number is decoration, not a promise. */
@ApiTags('agents')
@Controller('agents')
export class AgentsController {
  private readonly logger = new Logger('Agents');

  constructor(@Inject(PRESENCE) private readonly presence: Presence) {}

  @Get('count')
  @ApiOperation({ summary: 'Live workers; 0 when they cannot be counted' })
  @ApiOkResponse({ schema: { type: 'object', properties: { count: { type: 'integer' } } } })
  async count(): Promise<{ count: number }> {
    try {
      return { count: (await this.presence.list()).length };
    } catch (error) {
      this.logger.warn(
        `Workers cannot be counted: ${error instanceof Error ? error.message : String(error)}`,
      );
      return { count: 0 };
    }
  }
}
