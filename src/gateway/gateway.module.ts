import { Module } from '@nestjs/common';
import { CallbackModule } from '../ports/callback/callback.module.js';
import { IdentityModule } from '../ports/identity/identity.module.js';
import { PresenceModule } from '../ports/presence/presence.module.js';
import { QuotaModule } from '../ports/quota/quota.module.js';
import { TaskStoreModule } from '../ports/task-store/task-store.module.js';
import { WorkQueueModule } from '../ports/work-queue/work-queue.module.js';
import { AccessGuard, RateLimits } from './access.guard.js';
import { AgentsController } from './agents.controller.js';
import { AuthGuard } from './auth.guard.js';
import { CallbacksController } from './callbacks.controller.js';
import { ConsoleController } from './console.controller.js';
import { EventsService } from './events.service.js';
import { ExtensionService } from './extension.service.js';
import { ForecastService } from './forecast.service.js';
import { QuotaController } from './quota.controller.js';
import { ReconcilerService } from './reconciler.service.js';
import { SubmissionService } from './submission.service.js';
import { TasksController } from './tasks.controller.js';
import { TasksService } from './tasks.service.js';

/** The public API, the console, and the reconcilers that keep its promises. */
@Module({
  imports: [TaskStoreModule, WorkQueueModule, PresenceModule, IdentityModule, QuotaModule, CallbackModule],
  controllers: [TasksController, CallbacksController, AgentsController, QuotaController, ConsoleController],
  providers: [
    AuthGuard,
    AccessGuard,
    RateLimits,
    SubmissionService,
    ExtensionService,
    ForecastService,
    TasksService,
    EventsService,
    ReconcilerService,
  ],
})
export class GatewayModule {}
