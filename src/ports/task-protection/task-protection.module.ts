import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { NoTaskProtection } from './no-task-protection.js';
import { TASK_PROTECTION, type TaskProtection } from './task-protection.port.js';

@Module({
  providers: [{ provide: TASK_PROTECTION, useFactory: (): TaskProtection => new NoTaskProtection() }],
  exports: [TASK_PROTECTION],
})
export class TaskProtectionModule implements OnApplicationShutdown {
  constructor(@Inject(TASK_PROTECTION) private readonly protection: TaskProtection) {}

  onApplicationShutdown(): Promise<void> {
    return this.protection.close();
  }
}
