import { Module } from '@nestjs/common';
import { AgentMemoryModule } from '../ports/agent-memory/agent-memory.module.js';
import { LanguageModelModule } from '../ports/language-model/language-model.module.js';
import { PageReaderModule } from '../ports/page-reader/page-reader.module.js';
import { PresenceModule } from '../ports/presence/presence.module.js';
import { TaskProtectionModule } from '../ports/task-protection/task-protection.module.js';
import { TaskStoreModule } from '../ports/task-store/task-store.module.js';
import { WebSearchModule } from '../ports/web-search/web-search.module.js';
import { WorkQueueModule } from '../ports/work-queue/work-queue.module.js';
import { MemoryRetention } from './memory-retention.js';
import { Worker } from './worker.js';

/** The agent: takes mandates and works on them. It reads untrusted pages and holds neither identity nor quota. */
@Module({
  imports: [
    TaskStoreModule,
    WorkQueueModule,
    PresenceModule,
    AgentMemoryModule,
    LanguageModelModule,
    WebSearchModule,
    PageReaderModule,
    TaskProtectionModule,
  ],
  providers: [Worker, MemoryRetention],
  exports: [Worker],
})
export class AgentModule {}
