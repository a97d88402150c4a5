import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import { EcsTaskProtection } from './ecs-task-protection.js';
import { NoTaskProtection } from './no-task-protection.js';
import { TASK_PROTECTION, type TaskProtection } from './task-protection.port.js';

@Module({
  providers: [
    {
      provide: TASK_PROTECTION,
      useFactory: ({ ecs: { agentUri } }: Settings, clock: Clock): TaskProtection =>
        agentUri === null ? new NoTaskProtection() : new EcsTaskProtection(agentUri, clock),
      inject: [SETTINGS, CLOCK],
    },
  ],
  exports: [TASK_PROTECTION],
})
export class TaskProtectionModule implements OnApplicationShutdown {
  constructor(@Inject(TASK_PROTECTION) private readonly protection: TaskProtection) {}

  onApplicationShutdown(): Promise<void> {
    return this.protection.close();
  }
}
