import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK } from '../../config/settings.module.js';
import { type Clock } from '../../domain/clock.js';
import {
  EmbeddedDatabaseModule,
  OPEN_EMBEDDED,
  type OpenEmbedded,
} from '../embedded/embedded-database.module.js';
import { SqliteWorkQueue } from './sqlite-work-queue.js';
import { WORK_QUEUE, type WorkQueue } from './work-queue.port.js';

@Module({
  imports: [EmbeddedDatabaseModule],
  providers: [
    {
      provide: WORK_QUEUE,
      useFactory: (open: OpenEmbedded, clock: Clock): WorkQueue => new SqliteWorkQueue(open(), clock),
      inject: [OPEN_EMBEDDED, CLOCK],
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
