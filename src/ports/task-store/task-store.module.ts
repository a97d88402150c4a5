import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import {
  EmbeddedDatabaseModule,
  OPEN_EMBEDDED,
  type OpenEmbedded,
} from '../embedded/embedded-database.module.js';
import { SqliteTaskStore } from './sqlite-task-store.js';
import { TASK_STORE, type TaskStore } from './task-store.port.js';

@Module({
  imports: [EmbeddedDatabaseModule],
  providers: [
    {
      provide: TASK_STORE,
      useFactory: (open: OpenEmbedded, clock: Clock, settings: Settings): TaskStore =>
        new SqliteTaskStore(open(), clock, settings.agent.leaseMs),
      inject: [OPEN_EMBEDDED, CLOCK, SETTINGS],
    },
  ],
  exports: [TASK_STORE],
})
export class TaskStoreModule implements OnApplicationShutdown {
  constructor(@Inject(TASK_STORE) private readonly store: TaskStore) {}

  onApplicationShutdown(): Promise<void> {
    return this.store.close();
  }
}
