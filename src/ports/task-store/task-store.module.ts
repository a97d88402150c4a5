import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK } from '../../config/settings.module.js';
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
      useFactory: (open: OpenEmbedded, clock: Clock): TaskStore => new SqliteTaskStore(open(), clock),
      inject: [OPEN_EMBEDDED, CLOCK],
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
