import { join } from 'node:path';
import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import { PresenceModule } from '../presence/presence.module.js';
import { PRESENCE, type Presence } from '../presence/presence.port.js';
import { packageRoot } from '../web-search/package-root.js';
import { awsPlace } from '../aws/aws-calls.js';
import { agentEnvironment } from './agent-environment.js';
import { ChildProcessFleet } from './child-process-fleet.js';
import { type EcsServiceName } from './ecs-fleet.js';
import { FLEET, type Fleet } from './fleet.port.js';

const MAIN = join(packageRoot(), 'dist/main.js');

@Module({
  imports: [PresenceModule],
  providers: [
    {
      provide: FLEET,
      useFactory: (settings: Settings, clock: Clock, presence: Presence) =>
        settings.ecs.service === null
          ? onThisHost(settings, clock, presence)
          : inEcs(settings, settings.ecs.service),
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

function onThisHost(settings: Settings, clock: Clock, presence: Presence): Fleet {
  return new ChildProcessFleet({
    command: [process.execPath, MAIN, '--role', 'agent'],
    env: agentEnvironment(process.env, settings.dataDir),
    clock,
    busyPids: () => busyPids(presence),
  });
}

/** The client is loaded where it is used: it costs a start 0.2 s. */
async function inEcs({ aws }: Settings, service: EcsServiceName): Promise<Fleet> {
  const { EcsFleet } = await import('./ecs-fleet.js');
  return new EcsFleet(awsPlace(aws), service);
}

async function busyPids(presence: Presence): Promise<ReadonlySet<number>> {
  const workers = await presence.list();
  const busy = workers.filter((worker) => worker.state === 'working' || worker.running > 0);
  return new Set(busy.map((worker) => worker.pid));
}
