import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import {
  EmbeddedDatabaseModule,
  OPEN_EMBEDDED,
  type OpenEmbedded,
} from '../embedded/embedded-database.module.js';
import { RabbitMqWorkQueue } from './rabbitmq-work-queue.js';
import { SqliteWorkQueue } from './sqlite-work-queue.js';
import { WORK_QUEUE, type WorkQueue } from './work-queue.port.js';

@Module({
  imports: [EmbeddedDatabaseModule],
  providers: [
    {
      provide: WORK_QUEUE,
      useFactory: async (settings: Settings, open: OpenEmbedded, clock: Clock): Promise<WorkQueue> => {
        if (settings.rabbitmqUrl === null) {
          // A killed worker's message comes back when its lease has run out: before that nobody could take the task.
          return new SqliteWorkQueue(open(), clock, { visibilityMs: settings.agent.leaseMs });
        }
        const queue = new RabbitMqWorkQueue(clock, {
          url: settings.rabbitmqUrl,
          managementUrl: settings.rabbitmqManagementUrl,
          queueName: settings.queueName,
        });
        await queue.ready();
        return queue;
      },
      inject: [SETTINGS, OPEN_EMBEDDED, CLOCK],
    },
  ],
  exports: [WORK_QUEUE],
})
export class WorkQueueModule implements OnApplicationShutdown {
  constructor(@Inject(WORK_QUEUE) private readonly queue: WorkQueue) {}

  onApplicationShutdown(): Promise<void> {
    return this.queue.close();
  }
}
