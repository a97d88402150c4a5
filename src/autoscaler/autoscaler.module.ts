import { Module } from '@nestjs/common';
import { FleetMetricsModule } from '../ports/fleet-metrics/fleet-metrics.module.js';
import { FleetModule } from '../ports/fleet/fleet.module.js';
import { AutoscalerController } from './autoscaler.controller.js';
import { Autoscaler } from './autoscaler.js';

@Module({
  imports: [FleetMetricsModule, FleetModule],
  controllers: [AutoscalerController],
  providers: [Autoscaler],
  exports: [Autoscaler],
})
export class AutoscalerModule {}
