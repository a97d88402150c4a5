import { Controller, Get, Header } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { Autoscaler } from './autoscaler.js';
import { decisionToJson } from './decision.js';

/** For operators; open like the health checks, and without anything about users or tasks. */
@ApiExcludeController()
@Controller('autoscaler')
export class AutoscalerController {
  constructor(private readonly autoscaler: Autoscaler) {}

  /** The last 500 decisions since the start, newest first. */
  @Get('decisions')
  @Header('Cache-Control', 'no-store')
  decisions() {
    return { decisions: this.autoscaler.decisions.map(decisionToJson) };
  }
}
