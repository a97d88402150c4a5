import { describe, expect, it } from '@jest/globals';
import { SqliteAgentMemory } from '../../src/ports/agent-memory/sqlite-agent-memory.js';
import { EmbeddedDatabase } from '../../src/ports/embedded/embedded-database.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { agentMemoryContract } from './agent-memory.contract.js';

/** Every instance has its own connection to the file, as another process would. */
async function open() {
  const dataDir = temporaryDataDir();
  const databases: EmbeddedDatabase[] = [];
  const connect = () => {
    const database = EmbeddedDatabase.open(dataDir.path);
    databases.push(database);
    return database;
  };
  return {
    memory: new SqliteAgentMemory(connect()),
    again: async () => new SqliteAgentMemory(connect()),
    connect,
    close: async () => {
      databases.forEach((database) => database.close());
      dataDir.remove();
    },
  };
}

agentMemoryContract('SQLite', open);

describe('agent memory on SQLite, beyond the contract', () => {
  // Not portable: a memory that ranks by embeddings finds words by their meaning, and always finds something.
  it('matches words by their stem, in any case, with or without accents, and nothing else', async () => {
    const { memory, close } = await open();
    const text = 'Zoë was swimming to the Café; the CHLOROPLASTS followed.';
    await memory.remember('task', [{ sourceId: 'S1', text }]);
    for (const need of ['zoe', 'ZOË', 'Zoe\u0308', 'swims', 'cafe', 'chloroplast', 'xyz, chloroplast!']) {
      expect(await memory.recall('task', need, 5)).toHaveLength(1);
    }
    for (const need of ['', ' ', 'harbour', 'loro', '🦠', '"', 'task', 'S1']) {
      expect(await memory.recall('task', need, 5)).toEqual([]);
    }
    await close();
  });

  // Not portable: looks into the index.
  it('leaves nothing in the index of what it forgot', async () => {
    const { memory, connect, close } = await open();
    await memory.remember('task', [{ sourceId: 'S1', text: 'eyespot' }]);
    await memory.forget(['task']);
    const database = connect();
    expect(database.all("SELECT rowid FROM memory_words WHERE memory_words MATCH 'eyespot'")).toEqual([]);
    database.run("INSERT INTO memory_words (memory_words) VALUES ('integrity-check')");
    await close();
  });

  // Not portable: takes the engine away from under a living instance.
  it('says that the engine is unavailable when the data folder is closed', async () => {
    const { memory, close } = await open();
    await close();
    const refusal = { name: 'EuglenaError', code: 'engine_unavailable' };
    await expect(memory.remember('task', [{ sourceId: 'S1', text: 'x' }])).rejects.toMatchObject(refusal);
    await expect(memory.recall('task', 'x', 1)).rejects.toMatchObject(refusal);
    await expect(memory.forget(['task'])).rejects.toMatchObject(refusal);
    await expect(memory.ping()).rejects.toMatchObject(refusal);
  });
});
