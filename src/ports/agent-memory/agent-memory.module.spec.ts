import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { temporaryDataDir } from '../../../test/support/data-dir.js';
import { SettingsModule } from '../../config/settings.module.js';
import { readSettings } from '../../config/settings.js';
import { systemClock } from '../../config/system-clock.js';
import { EmbeddedDatabaseHandle } from '../embedded/embedded-database.module.js';
import { AgentMemoryModule } from './agent-memory.module.js';
import { AGENT_MEMORY } from './agent-memory.port.js';
import { ChromaAgentMemory } from './chroma-agent-memory.js';
import { RestingAgentMemory } from './resting-agent-memory.js';
import { SqliteAgentMemory } from './sqlite-agent-memory.js';

describe('the choice of an agent memory', () => {
  it.each([
    ['nothing', null, SqliteAgentMemory],
    ['an address', 'http://127.0.0.1:8000', ChromaAgentMemory],
  ])('with %s set', async (_what, chromaUrl, adapter) => {
    const dataDir = temporaryDataDir();
    const settings = { ...readSettings({ EUGLENA_DATA_DIR: dataDir.path }), chromaUrl };
    const app = await Test.createTestingModule({
      imports: [SettingsModule.with(settings, systemClock), AgentMemoryModule],
    }).compile();
    const memory: unknown = app.get(AGENT_MEMORY);
    expect(memory instanceof RestingAgentMemory ? memory.engine : memory).toBeInstanceOf(adapter);
    expect(memory instanceof RestingAgentMemory).toBe(adapter === ChromaAgentMemory);
    await app.close();
    app.get(EmbeddedDatabaseHandle, { strict: false }).close();
    dataDir.remove();
  });
});
