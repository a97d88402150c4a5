import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import {
  EmbeddedDatabaseModule,
  OPEN_EMBEDDED,
  type OpenEmbedded,
} from '../embedded/embedded-database.module.js';
import { awsPlace } from '../aws/aws-calls.js';
import { FLEET_METRICS, type FleetMetrics } from './fleet-metrics.port.js';
import { SqliteFleetMetrics } from './sqlite-fleet-metrics.js';

@Module({
  imports: [EmbeddedDatabaseModule],
  providers: [
    {
      provide: FLEET_METRICS,
      useFactory: (open: OpenEmbedded, clock: Clock, settings: Settings) =>
        settings.aws.cloudWatch ? inCloudWatch(settings, clock) : new SqliteFleetMetrics(open(), clock),
      inject: [OPEN_EMBEDDED, CLOCK, SETTINGS],
    },
  ],
  exports: [FLEET_METRICS],
})
export class FleetMetricsModule implements OnApplicationShutdown {
  constructor(@Inject(FLEET_METRICS) private readonly metrics: FleetMetrics) {}

  onApplicationShutdown(): Promise<void> {
    return this.metrics.close();
  }
}

/** The client is loaded where it is used: it costs a start 0.2 s. */
async function inCloudWatch({ aws, queueName }: Settings, clock: Clock): Promise<FleetMetrics> {
  const { CloudWatchFleetMetrics } = await import('./cloudwatch-fleet-metrics.js');
  return new CloudWatchFleetMetrics(awsPlace(aws), queueName, clock);
}
