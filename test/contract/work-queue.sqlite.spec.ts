import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../src/config/system-clock.js';
import { type Clock } from '../../src/domain/clock.js';
import { EmbeddedDatabase } from '../../src/ports/embedded/embedded-database.js';
import { SqliteWorkQueue } from '../../src/ports/work-queue/sqlite-work-queue.js';
import { type Delivery, type WorkQueue } from '../../src/ports/work-queue/work-queue.port.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { eventually } from '../support/eventually.js';
import { ManualClock } from '../support/manual-clock.js';
import { workQueueContract } from './work-queue.contract.js';
import { type WorkQueueHarness } from './work-queue.harness.js';

const VISIBILITY_MS = 150;
const DELIVERY_LIMIT = 3;
const RETRY_DELAY_MS = 20;
const STEP_MS = 10;

/** Every instance has its own connection to the file, as another process would. */
class SqliteHarness implements WorkQueueHarness {
  readonly deliveryLimit = DELIVERY_LIMIT;
  readonly visibilityMs = VISIBILITY_MS;
  readonly clock = new ManualClock();
  readonly queue: WorkQueue;
  private readonly dataDir = temporaryDataDir();
  private readonly databases = new Map<WorkQueue, EmbeddedDatabase>();

  constructor() {
    this.queue = this.instance();
  }

  async again(): Promise<WorkQueue> {
    return this.instance();
  }

  now(): number {
    return this.clock.now();
  }

  /** In small steps, so that timers and handlers take their turns as they would in real time. */
  async elapse(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) {
      this.clock.advance(Math.min(STEP_MS, left));
      await turn();
      await turn();
    }
  }

  /** Its connection goes first: from here on the instance can write nothing. */
  async crash(queue: WorkQueue): Promise<void> {
    this.databases.get(queue)?.close();
    await queue.close();
  }

  async close(): Promise<void> {
    for (const [queue, database] of this.databases) {
      await queue.close();
      database.close();
    }
    this.dataDir.remove();
  }

  databaseOf(queue: WorkQueue): EmbeddedDatabase {
    const database = this.databases.get(queue);
    if (database === undefined) throw new Error('not an instance of this harness');
    return database;
  }

  private instance(): WorkQueue {
    const database = EmbeddedDatabase.open(this.dataDir.path);
    const queue = new SqliteWorkQueue(database, this.clock, {
      visibilityMs: VISIBILITY_MS,
      deliveryLimit: DELIVERY_LIMIT,
      retryDelayMs: RETRY_DELAY_MS,
    });
    this.databases.set(queue, database);
    return queue;
  }
}

workQueueContract('SQLite', async () => new SqliteHarness());

describe('work queue on SQLite, beyond the contract', () => {
  let harness: SqliteHarness;
  afterEach(() => harness.close());

  async function nextDelivery(queue: WorkQueue): Promise<Delivery> {
    let found: Delivery | undefined;
    await queue.consume((delivery) => {
      found = delivery;
      return new Promise(() => undefined);
    }, 1);
    return eventually('a delivery', async () => {
      await harness.elapse(STEP_MS);
      return found;
    });
  }

  // Not portable: a broker takes a message from its holder only by closing the holder's channel.
  it.each(['ack', 'defer', 'deadLetter'] as const)(
    'resolves %s() of a message that went to another holder, and leaves it there',
    async (verb) => {
      harness = new SqliteHarness();
      await harness.queue.publish(Buffer.from('contested'));
      const lost = await nextDelivery(harness.queue);
      await harness.queue.close();
      await harness.elapse(VISIBILITY_MS);
      const other = await harness.again();
      const held = await nextDelivery(other);
      await { ack: () => lost.ack(), defer: () => lost.defer(0), deadLetter: () => lost.deadLetter('no') }[
        verb
      ]();
      expect(await other.depth()).toMatchObject({ ready: 0, inFlight: 1, dead: 0 });
      expect(held.deliveries).toBe(2);
      await held.ack();
      expect(await other.depth()).toMatchObject({ ready: 0, inFlight: 0, dead: 0 });
    },
  );

  // Not portable: the waits are this adapter's own.
  it('waits longer after each failed delivery', async () => {
    harness = new SqliteHarness();
    const times: number[] = [];
    await harness.queue.consume(() => {
      times.push(harness.now());
      return Promise.reject(new Error('no'));
    }, 1);
    await harness.queue.publish(Buffer.from('bad'));
    await eventually('the dead letter', async () => {
      await harness.elapse(STEP_MS);
      return (await harness.queue.depth()).dead === 1;
    });
    const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(waits).toEqual([RETRY_DELAY_MS, RETRY_DELAY_MS * 2]);
  });

  // Not portable: counts this connection's commits.
  it('writes nothing while it has nothing to do', async () => {
    harness = new SqliteHarness();
    let commits = 0;
    harness.databaseOf(harness.queue).onChange(() => (commits += 1));
    await harness.queue.consume((delivery) => delivery.defer(3_600_000), 4);
    await harness.queue.publish(Buffer.from('later'));
    await harness.elapse(STEP_MS);
    const afterDeferral = commits;
    expect(afterDeferral).toBe(3);
    await harness.elapse(60_000);
    expect(commits).toBe(afterDeferral);
  });

  // Not portable: the waits above pass on a clock turned by hand, these on the machine's timers.
  it('waits in real time, and leaves no timer behind when it closes', async () => {
    harness = new SqliteHarness();
    let sleeping = 0;
    const counted: Clock = {
      now: () => systemClock.now(),
      sleep: (ms, signal) => {
        sleeping += 1;
        return systemClock.sleep(ms, signal).finally(() => (sleeping -= 1));
      },
    };
    const queue = new SqliteWorkQueue(harness.databaseOf(harness.queue), counted);
    const times: number[] = [];
    await queue.consume((delivery) => {
      times.push(systemClock.now());
      return delivery.deliveries === 1 ? delivery.defer(50) : delivery.defer(3_600_000);
    }, 1);
    await queue.publish(Buffer.from('later'));
    await eventually(
      'the second delivery, and the wait for the third',
      () => times.length === 2 && sleeping === 1,
    );
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(50);
    await queue.close();
    await eventually('the end of the wait', () => sleeping === 0);
  });

  // Not portable: takes the engine away from under a living instance.
  it('says that the engine is unavailable when the data folder is closed', async () => {
    harness = new SqliteHarness();
    harness.databaseOf(harness.queue).close();
    const refusal = { name: 'EuglenaError', code: 'engine_unavailable' };
    await expect(harness.queue.publish(Buffer.from('x'))).rejects.toMatchObject(refusal);
    await expect(harness.queue.depth()).rejects.toMatchObject(refusal);
    await expect(harness.queue.ping()).rejects.toMatchObject(refusal);
  });
});
