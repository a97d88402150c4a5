import { EmbeddedDatabase } from '../../src/ports/embedded/embedded-database.js';
import { type Quota } from '../../src/ports/quota/quota.port.js';
import { SqliteQuota } from '../../src/ports/quota/sqlite-quota.js';
import { SqliteTaskStore } from '../../src/ports/task-store/sqlite-task-store.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { SqliteWorkQueue } from '../../src/ports/work-queue/sqlite-work-queue.js';
import { type WorkQueue } from '../../src/ports/work-queue/work-queue.port.js';
import { temporaryDataDir } from './data-dir.js';
import { ManualClock } from './manual-clock.js';

export interface GatewayEngines {
  readonly clock: ManualClock;
  readonly store: TaskStore;
  readonly queue: WorkQueue;
  readonly quota: Quota;
  close(): Promise<void>;
}

/** What a gateway stands on, embedded, over a fresh data folder and a clock that the test turns. */
export function openGatewayEngines(dailyLimit = 256): GatewayEngines {
  const dataDir = temporaryDataDir();
  const database = EmbeddedDatabase.open(dataDir.path);
  const clock = new ManualClock();
  const store = new SqliteTaskStore(database, clock, 30_000);
  const queue = new SqliteWorkQueue(database, clock);
  const quota = new SqliteQuota(database, clock, dailyLimit);
  return {
    clock,
    store,
    queue,
    quota,
    close: async () => {
      await Promise.all([store.close(), queue.close(), quota.close()]);
      database.close();
      dataDir.remove();
    },
  };
}

/** The same engine, save that the named methods behave otherwise: how a test makes one call of a real engine fail. */
export function except<T extends object>(engine: T, methods: Partial<T>): T {
  return new Proxy(engine, {
    get(target, name) {
      if (name in methods) return methods[name as keyof T];
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}
