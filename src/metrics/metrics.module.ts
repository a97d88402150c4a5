import { Module } from '@nestjs/common';
import { FleetMetricsModule } from '../ports/fleet-metrics/fleet-metrics.module.js';
import { PresenceModule } from '../ports/presence/presence.module.js';
import { WorkQueueModule } from '../ports/work-queue/work-queue.module.js';
import { DepthSampler } from './depth-sampler.js';
import { FleetGauges } from './fleet-gauges.js';
import { MetricsController } from './metrics.controller.js';

@Module({
  imports: [WorkQueueModule, PresenceModule, FleetMetricsModule],
  controllers: [MetricsController],
  providers: [DepthSampler, FleetGauges],
  exports: [DepthSampler],
})
export class MetricsModule {}
