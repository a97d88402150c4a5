import { Controller, Get, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiServiceUnavailableResponse, ApiTags } from '@nestjs/swagger';
import { type FastifyReply } from 'fastify';
import { type HealthReport, HealthService } from './health.service.js';

/** For load balancers and people; open to everybody, and silent about versions, hosts and reasons. */
@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  @Get()
  @ApiOperation({ summary: 'Each component that this process depends on' })
  @ApiOkResponse({ description: 'All of them answer.' })
  @ApiServiceUnavailableResponse({ description: 'One of them does not, or the process is about to stop.' })
  async all(@Res({ passthrough: true }) reply: FastifyReply): Promise<HealthReport> {
    const report = await this.health.report();
    if (report.status !== 'ok') void reply.status(503);
    return report;
  }

  @Get('ready')
  @ApiOperation({ summary: 'Whether to send requests here' })
  @ApiOkResponse({ description: 'Yes.' })
  @ApiServiceUnavailableResponse({ description: 'Not now.' })
  ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<HealthReport> {
    return this.all(reply);
  }

  @Get('live')
  @ApiOperation({ summary: 'Whether the process runs at all; it says nothing about its components' })
  @ApiOkResponse({ description: 'It runs.' })
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }
}
