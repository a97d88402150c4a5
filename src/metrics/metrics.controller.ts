import { Controller, Get, Header } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { registry } from '../observability/measures.js';
import { FleetGauges } from './fleet-gauges.js';

/** For Prometheus; open like the health checks, and without anything about users or tasks. */
@ApiExcludeController()
@Controller('metrics')
export class MetricsController {
  constructor(private readonly gauges: FleetGauges) {}

  @Get()
  @Header('Content-Type', 'text/plain; version=0.0.4; charset=utf-8')
  @Header('Cache-Control', 'no-store')
  async metrics(): Promise<string> {
    return (await Promise.all([this.gauges.text(), registry.metrics()])).join('\n');
  }
}
