import { Controller, Get, Header } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { FleetGauges } from './fleet-gauges.js';

/** For Prometheus; open like the health checks, and without anything about users or tasks. */
@ApiExcludeController()
@Controller('metrics')
export class MetricsController {
  constructor(private readonly gauges: FleetGauges) {}

  @Get()
  @Header('Content-Type', 'text/plain; version=0.0.4; charset=utf-8')
  @Header('Cache-Control', 'no-store')
  metrics(): Promise<string> {
    return this.gauges.text();
  }
}
