import { Controller, Get, Res } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiOperation,
  ApiProperty,
  ApiSchema,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';
import { type FastifyReply } from 'fastify';
import { ApiAnswer, ApiFailures } from '../gateway/api-answers.js';
import { type HealthReport, HealthService } from './health.service.js';

@ApiSchema({ name: 'Component' })
class ComponentShape {
  @ApiProperty({ enum: ['up', 'down'] }) status!: string;
}

@ApiExtraModels(ComponentShape)
@ApiSchema({ name: 'Health' })
class HealthShape {
  @ApiProperty({ enum: ['ok', 'error', 'draining'] }) status!: string;
  @ApiProperty({
    type: 'object',
    additionalProperties: { $ref: getSchemaPath(ComponentShape) },
    example: { 'task-store': { status: 'up' } },
  })
  components!: object;
}

@ApiSchema({ name: 'Liveness' })
class LifeShape {
  @ApiProperty({ enum: ['ok'] }) status!: string;
}

/** For load balancers and people; open to everybody, and silent about versions, hosts and reasons. */
@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  @Get()
  @ApiOperation({ operationId: 'getHealth', summary: 'Each component that this process depends on' })
  @ApiFailures()
  @ApiAnswer(200, { type: HealthShape, description: 'All of them answer.' })
  @ApiAnswer(503, { type: HealthShape, description: 'One does not, or the process is about to stop.' })
  async all(@Res({ passthrough: true }) reply: FastifyReply): Promise<HealthReport> {
    const report = await this.health.report();
    if (report.status !== 'ok') void reply.status(503);
    return report;
  }

  @Get('ready')
  @ApiOperation({ operationId: 'getReadiness', summary: 'Whether to send requests here' })
  @ApiFailures()
  @ApiAnswer(200, { type: HealthShape, description: 'Yes.' })
  @ApiAnswer(503, { type: HealthShape, description: 'Not now.' })
  ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<HealthReport> {
    return this.all(reply);
  }

  @Get('live')
  @ApiOperation({
    operationId: 'getLiveness',
    summary: 'Whether the process runs at all; it says nothing about its components',
  })
  @ApiFailures()
  @ApiAnswer(200, { type: LifeShape, description: 'It runs.' })
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }
}
