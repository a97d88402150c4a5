import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import {
  EmbeddedDatabaseModule,
  OPEN_EMBEDDED,
  type OpenEmbedded,
} from '../embedded/embedded-database.module.js';
import { AGENT_MEMORY, type AgentMemory } from './agent-memory.port.js';
import { SqliteAgentMemory } from './sqlite-agent-memory.js';

@Module({
  imports: [EmbeddedDatabaseModule],
  providers: [
    {
      provide: AGENT_MEMORY,
      useFactory: (open: OpenEmbedded): AgentMemory => new SqliteAgentMemory(open()),
      inject: [OPEN_EMBEDDED],
    },
  ],
  exports: [AGENT_MEMORY],
})
export class AgentMemoryModule implements OnApplicationShutdown {
  constructor(@Inject(AGENT_MEMORY) private readonly memory: AgentMemory) {}

  onApplicationShutdown(): Promise<void> {
    return this.memory.close();
  }
}
