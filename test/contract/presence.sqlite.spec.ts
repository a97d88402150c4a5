import { describe, expect, it } from '@jest/globals';
import { EmbeddedDatabase } from '../../src/ports/embedded/embedded-database.js';
import { SqlitePresence } from '../../src/ports/presence/sqlite-presence.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { ManualClock } from '../support/manual-clock.js';
import { presenceContract, type PresenceHarness } from './presence.contract.js';

/** Every instance has its own connection to the file, as another process would. */
async function open(): Promise<PresenceHarness> {
  const dataDir = temporaryDataDir();
  const clock = new ManualClock();
  const databases: EmbeddedDatabase[] = [];
  const connect = () => {
    const database = EmbeddedDatabase.open(dataDir.path);
    databases.push(database);
    return database;
  };
  return {
    presence: new SqlitePresence(connect(), clock),
    again: async () => new SqlitePresence(connect(), clock),
    elapse: async (ms) => clock.advance(ms),
    stored: async () => connect().get<{ n: number }>('SELECT count(*) AS n FROM presence')?.n ?? 0,
    close: async () => {
      databases.forEach((database) => database.close());
      dataDir.remove();
    },
  };
}

presenceContract('SQLite', open);

describe('presence on SQLite, beyond the contract', () => {
  // Not portable: takes the engine away from under a living instance.
  it('says that the engine is unavailable when the data folder is closed', async () => {
    const dataDir = temporaryDataDir();
    const database = EmbeddedDatabase.open(dataDir.path);
    const presence = new SqlitePresence(database, new ManualClock());
    database.close();
    const refusal = { name: 'EuglenaError', code: 'engine_unavailable' };
    await expect(presence.list()).rejects.toMatchObject(refusal);
    await expect(presence.leave('agent-1')).rejects.toMatchObject(refusal);
    await expect(presence.ping()).rejects.toMatchObject(refusal);
    dataDir.remove();
  });
});
