import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import {
  EmbeddedDatabaseModule,
  OPEN_EMBEDDED,
  type OpenEmbedded,
} from '../embedded/embedded-database.module.js';
import { OPEN_REDIS, type OpenRedis, RedisModule } from '../redis/redis.module.js';
import { RedisTaskStore } from './redis-task-store.js';
import { SqliteTaskStore } from './sqlite-task-store.js';
import { TASK_STORE, type TaskStore } from './task-store.port.js';

@Module({
  imports: [EmbeddedDatabaseModule, RedisModule],
  providers: [
    {
      provide: TASK_STORE,
      useFactory: (
        openEmbedded: OpenEmbedded,
        openRedis: OpenRedis,
        clock: Clock,
        { redisUrl, agent }: Settings,
      ): TaskStore =>
        redisUrl === null
          ? new SqliteTaskStore(openEmbedded(), clock, agent.leaseMs)
          : new RedisTaskStore(openRedis(), agent.leaseMs),
      inject: [OPEN_EMBEDDED, OPEN_REDIS, CLOCK, SETTINGS],
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
