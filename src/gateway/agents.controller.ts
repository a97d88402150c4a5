import { Controller, Get, Inject, Logger } from '@nestjs/common';
import { ApiOperation, ApiProperty, ApiSchema, ApiTags } from '@nestjs/swagger';
import { PRESENCE, type Presence } from '../ports/presence/presence.port.js';
import { ApiAnswer, ApiFailures } from './api-answers.js';

@ApiSchema({ name: 'AgentCount' })
class AgentCountShape {
  @ApiProperty({ type: 'integer', minimum: 0, example: 3 }) count!: number;
}

/** How many workers live. Open to everybody, and never an error: the number is decoration, not a promise. */
@ApiTags('agents')
@Controller('agents')
export class AgentsController {
  private readonly logger = new Logger('Agents');

  constructor(@Inject(PRESENCE) private readonly presence: Presence) {}

  @Get('count')
  @ApiOperation({ operationId: 'countAgents', summary: 'Live workers; 0 when they cannot be counted' })
  @ApiAnswer(200, { type: AgentCountShape, description: 'The number.' })
  @ApiFailures()
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
