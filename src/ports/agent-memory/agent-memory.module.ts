import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import {
  EmbeddedDatabaseModule,
  OPEN_EMBEDDED,
  type OpenEmbedded,
} from '../embedded/embedded-database.module.js';
import { AGENT_MEMORY, type AgentMemory } from './agent-memory.port.js';
import { ChromaAgentMemory } from './chroma-agent-memory.js';
import { HashedEmbedding } from './hashed-embedding.js';
import { OpenAiEmbedding } from './openai-embedding.js';
import { RestingAgentMemory } from './resting-agent-memory.js';
import { SqliteAgentMemory } from './sqlite-agent-memory.js';
import { type TextEmbedding } from './text-embedding.js';

@Module({
  imports: [EmbeddedDatabaseModule],
  providers: [
    {
      provide: AGENT_MEMORY,
      useFactory: ({ chromaUrl, model }: Settings, open: OpenEmbedded, clock: Clock): AgentMemory =>
        chromaUrl === null
          ? new SqliteAgentMemory(open())
          : new RestingAgentMemory(
              new ChromaAgentMemory({ url: chromaUrl }, embeddingFor(model), clock),
              clock,
            ),
      inject: [SETTINGS, OPEN_EMBEDDED, CLOCK],
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

/** The endpoint's embeddings when a model for them is named; without, hashed words, which need no model. */
function embeddingFor({ apiUrl, apiKey, embeddingName }: Settings['model']): TextEmbedding {
  const hasEndpoint = apiUrl !== null || apiKey !== null;
  return hasEndpoint && embeddingName !== null
    ? new OpenAiEmbedding({ apiUrl, apiKey, name: embeddingName })
    : new HashedEmbedding();
}
