import { existsSync } from 'node:fs';
import { join } from 'node:path';

const DIST = join(import.meta.dirname, '../dist');

/**
 * From the build: how the product reads and checks journals, and how it removes tasks that were kept long enough: the part of
 * the gateway, and then that of agents, which have forgotten what they remembered.
 */
export async function productsOwn(redisUrl) {
  if (!existsSync(DIST)) throw new Error('There is no build: npm run build.');
  const { entryFromJson, findBreak } = await import(`${DIST}/domain/journal.js`);
  const { RedisConnection } = await import(`${DIST}/ports/redis/redis-connection.js`);
  const { RedisTaskStore } = await import(`${DIST}/ports/task-store/redis-task-store.js`);
  const purgeAll = async () => {
    const connection = new RedisConnection(redisUrl);
    const store = new RedisTaskStore(connection, 1_000);
    while ((await store.purge(Date.now() + 1_000, 100)).length > 0);
    for (let taken = [1]; taken.length > 0;) {
      taken = await store.takePurged({ limit: 100, holdMs: 60_000 });
      await store.clearPurged(taken);
    }
    await store.close();
    connection.close();
  };
  return { readJournal: entryFromJson, findBreak, purgeAll };
}
