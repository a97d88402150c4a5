import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK } from '../../config/settings.module.js';
import { type Clock } from '../../domain/clock.js';
import {
  EmbeddedDatabaseModule,
  OPEN_EMBEDDED,
  type OpenEmbedded,
} from '../embedded/embedded-database.module.js';
import { FLEET_METRICS, type FleetMetrics } from './fleet-metrics.port.js';
import { SqliteFleetMetrics } from './sqlite-fleet-metrics.js';

@Module({
  imports: [EmbeddedDatabaseModule],
  providers: [
    {
      provide: FLEET_METRICS,
      useFactory: (open: OpenEmbedded, clock: Clock): FleetMetrics => new SqliteFleetMetrics(open(), clock),
      inject: [OPEN_EMBEDDED, CLOCK],
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
