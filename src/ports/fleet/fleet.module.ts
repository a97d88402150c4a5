import { join } from 'node:path';
import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import { PresenceModule } from '../presence/presence.module.js';
import { PRESENCE, type Presence } from '../presence/presence.port.js';
import { packageRoot } from '../web-search/package-root.js';
import { agentEnvironment } from './agent-environment.js';
import { ChildProcessFleet } from './child-process-fleet.js';
import { FLEET, type Fleet } from './fleet.port.js';

const MAIN = join(packageRoot(), 'dist/main.js');

@Module({
  imports: [PresenceModule],
  providers: [
    {
      provide: FLEET,
      useFactory: (settings: Settings, clock: Clock, presence: Presence): Fleet =>
        new ChildProcessFleet({
          command: [process.execPath, MAIN, '--role', 'agent'],
          env: agentEnvironment(process.env, settings.dataDir),
          clock,
          busyPids: () => busyPids(presence),
        }),
      inject: [SETTINGS, CLOCK, PRESENCE],
    },
  ],
  exports: [FLEET],
})
export class FleetModule implements OnApplicationShutdown {
  constructor(@Inject(FLEET) private readonly fleet: Fleet) {}

  onApplicationShutdown(): Promise<void> {
    return this.fleet.close();
  }
}

async function busyPids(presence: Presence): Promise<ReadonlySet<number>> {
  const workers = await presence.list();
  const busy = workers.filter((worker) => worker.state === 'working' || worker.running > 0);
  return new Set(busy.map((worker) => worker.pid));
}
