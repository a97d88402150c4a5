import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { type Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type GatewayEngines, except, openGatewayEngines } from '../../test/support/gateway-engines.js';
import { EuglenaError } from '../domain/errors.js';
import { entryFromJson, findBreak, type JournalEntry } from '../domain/journal.js';
import { cancellation, submission, workerChange } from '../domain/task-change.js';
import { type TaskRecord } from '../domain/task.js';
import { eventStreams } from '../observability/measures.js';
import { type TaskStore } from '../ports/task-store/task-store.port.js';
import { EventsService } from './events.service.js';

const OWNER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const HOUR = 3_600_000;
const LONG = 'x'.repeat(40_000);

let engines: GatewayEngines;
let events: EventsService;
let watches: number;
let reads: number;

beforeEach(() => {
  engines = openGatewayEngines();
  watches = 0;
  reads = 0;
  events = serviceOver({});
});
afterEach(async () => {
  events.beforeApplicationShutdown();
  await engines.close();
});

/** Counts what is asked of the real store. */
function serviceOver(faults: Partial<TaskStore>) {
  const counted: Partial<TaskStore> = {
    watch: (id, listener) => {
      watches += 1;
      const stop = engines.store.watch(id, listener);
      return () => {
        watches -= 1;
        stop();
      };
    },
    journal: (id, after, limit) => {
      reads += 1;
      return engines.store.journal(id, after, limit);
    },
    ...faults,
  };
  return new EventsService(except(engines.store, counted), engines.clock);
}

function follow(after = 0, lifetime = HOUR): Follow {
  const expiresAt = engines.clock.now() + lifetime;
  return new Follow(events.stream({ correlationId: 'task', after, expiresAt }));
}

/** Reads a stream as an EventSource does. */
class Follow {
  private text = '';
  readonly ended: Promise<unknown>;

  constructor(readonly stream: Readable) {
    this.ended = once(stream, 'end');
    stream.on('data', (chunk: Buffer) => (this.text += chunk.toString()));
  }

  get frames(): string[] {
    return this.text.split('\n\n').filter((frame) => frame !== '');
  }

  get entries(): JournalEntry[] {
    const data = this.frames.flatMap((frame) => /^data: (.*)$/m.exec(frame)?.[1] ?? []);
    return data.flatMap((json) => entryFromJson(JSON.parse(json)) ?? []);
  }

  /** Waits for the stream to say something that fits. */
  async until(fits: (frames: string[]) => boolean): Promise<void> {
    while (!fits(this.frames)) await once(this.stream, 'data');
  }
}

async function submitted(): Promise<TaskRecord> {
  const input = { correlationId: 'task', owner: OWNER, mandate: 'Find X\nand Y', maxTicks: 10 };
  const change = submission(input, engines.clock.now(), false);
  await engines.store.commit(change);
  return change.record;
}

async function accepted(): Promise<TaskRecord> {
  const record = await submitted();
  const creation = submission(record, engines.clock.now(), false);
  const claim = await engines.store.claim(creation, 'worker-1', 30_000);
  if (claim.kind !== 'claimed') throw new Error('not claimed');
  const change = workerChange(record, claim.lease, [{ kind: 'accepted', at: engines.clock.now() }]);
  await engines.store.commit(change);
  return change.record;
}

/** A task with many long entries: far more than a stream holds. */
async function observedAtLength(): Promise<TaskRecord> {
  const record = await submitted();
  const claim = await engines.store.claim(submission(record, 0, false), 'worker-1', 30_000);
  if (claim.kind !== 'claimed') throw new Error('not claimed');
  const step = { kind: 'observation' as const, at: 0, data: { text: LONG } };
  const change = workerChange(record, claim.lease, Array<typeof step>(50).fill(step));
  await engines.store.commit(change);
  return change.record;
}

async function finished(record: TaskRecord): Promise<void> {
  await engines.store.commit(cancellation(record, engines.clock.now()));
}

describe('a stream of events', () => {
  it('gives the whole journal and ends with it', async () => {
    await finished(await accepted());
    const follower = follow();
    await follower.ended;
    expect(follower.entries.map(({ type }) => type)).toEqual(['submitted', 'accepted', 'finished']);
    expect(findBreak(follower.entries)).toBeNull();
    expect(follower.frames[0]).toBe('retry: 2000');
    expect(follower.frames[1]).toMatch(/^id: 1\nevent: submitted\ndata: \{"seq":1,/);
    expect({ watches, followed: events.followed }).toEqual({ watches: 0, followed: 0 });
  });

  it('goes on behind the last entry that is known', async () => {
    await finished(await accepted());
    const follower = follow(2);
    await follower.ended;
    expect(follower.entries.map(({ seq }) => seq)).toEqual([3]);
  });

  it('gives what happens when it happens', async () => {
    const record = await accepted();
    const follower = follow();
    await follower.until((frames) => frames.length === 3);
    await finished(record);
    await follower.ended;
    expect(follower.entries.map(({ type }) => type)).toEqual(['submitted', 'accepted', 'finished']);
  });

  it('looks by itself when the store gives no hint, and after it could not be read', async () => {
    let down = true;
    events = serviceOver({
      watch: () => () => undefined,
      journal: (...query) => {
        if (!down) return engines.store.journal(...query);
        down = false;
        return Promise.reject(new EuglenaError('engine_unavailable', 'pulled the plug'));
      },
    });
    const record = await accepted();
    const follower = follow();
    await follower.until((frames) => frames.length === 1);
    engines.clock.advance(5_000);
    await follower.until((frames) => frames.length === 3);
    await finished(record);
    await turned(() => events.followed === 0, 5_000);
    await follower.ended;
    expect(follower.entries).toHaveLength(3);
  });

  it('says that it lives when nothing happens, and ends with the token', async () => {
    await accepted();
    const follower = follow();
    await follower.until((frames) => frames.length === 3);
    await turned(() => follower.frames.includes(': keep-alive'), 15_000);
    engines.clock.advance(HOUR);
    await follower.ended;
    expect(events.followed).toBe(0);
  });

  it('ends with the follower whose token ends first, and leaves the others alive', async () => {
    await accepted();
    const staying = follow();
    await staying.until((frames) => frames.length === 3);
    const leaving = follow(3, 1_000);
    await leaving.until((frames) => frames.length === 1);
    engines.clock.advance(999);
    for (let turn = 0; turn < 10; turn += 1) await setImmediate();
    expect(leaving.stream.readableEnded).toBe(false);
    engines.clock.advance(1);
    await leaving.ended;
    expect({ frames: leaving.frames, followed: events.followed }).toEqual({
      frames: ['retry: 2000'],
      followed: 1,
    });
    await turned(() => staying.frames.length === 4, 14_000);
    expect(staying.frames.at(-1)).toBe(': keep-alive');
  });

  it('is open once for each follower, as the measures say', async () => {
    const openStreams = async () => (await eventStreams.get()).values[0]?.value;
    await accepted();
    const followers = [follow(), follow(), follow()];
    expect(await openStreams()).toBe(3);
    followers[0]?.stream.destroy();
    expect(await openStreams()).toBe(2);
    events.beforeApplicationShutdown();
    await Promise.all(followers.slice(1).map(({ ended }) => ended));
    expect(await openStreams()).toBe(0);
  });

  it('reads the journal once for all who follow the task', async () => {
    const record = await accepted();
    const followers = Array.from({ length: 20 }, () => follow());
    await Promise.all(followers.map((each) => each.until((frames) => frames.length === 3)));
    expect({ watches, followed: events.followed }).toEqual({ watches: 1, followed: 1 });
    await finished(record);
    await Promise.all(followers.map(({ ended }) => ended));
    expect(new Set(followers.map(({ entries }) => JSON.stringify(entries))).size).toBe(1);
    expect(reads).toBeLessThan(6);
  });

  it('leaves nothing behind when its follower goes, and does not disturb the others', async () => {
    const record = await accepted();
    const [leaving, staying] = [follow(), follow()];
    await Promise.all([leaving, staying].map((each) => each.until((frames) => frames.length === 3)));
    leaving.stream.destroy();
    await once(leaving.stream, 'close');
    expect({ watches, frames: leaving.frames.length }).toEqual({ watches: 1, frames: 3 });
    await finished(record);
    await staying.ended;
    expect(staying.entries).toHaveLength(3);
    expect({ watches, followed: events.followed }).toEqual({ watches: 0, followed: 0 });
  });

  it('stops watching when the last follower goes', async () => {
    await accepted();
    const follower = follow();
    await follower.until((frames) => frames.length === 3);
    follower.stream.destroy();
    await turned(() => watches === 0, 0);
    expect(events.followed).toBe(0);
  });

  it('ends at shutdown, and when the task is gone', async () => {
    const unknown = follow();
    await unknown.ended;
    await accepted();
    const follower = follow();
    await follower.until((frames) => frames.length === 3);
    events.beforeApplicationShutdown();
    await follower.ended;
    expect(events.followed).toBe(0);
  });

  it('does not read ahead of a follower that is slow', async () => {
    await observedAtLength();
    const stream = events.stream({
      correlationId: 'task',
      after: 0,
      expiresAt: engines.clock.now() + HOUR,
    });
    stream.read(0);
    await turned(() => stream.readableLength > 0, 0);
    for (let turn = 0; turn < 50; turn += 1) await setImmediate();
    expect(stream.readableLength).toBeLessThan(3 * LONG.length);
    stream.destroy();
    await turned(() => events.followed === 0, 0);
  });

  it('gives a slow follower everything in the end, also when the task ended meanwhile', async () => {
    const record = await observedAtLength();
    const slow = follow();
    slow.stream.pause();
    const quick = follow();
    await finished(record);
    await quick.ended;
    expect(slow.entries.length).toBeLessThan(3);
    expect(events.followed).toBe(0);
    slow.stream.resume();
    await slow.ended;
    expect(slow.entries).toHaveLength(52);
    expect(slow.entries).toEqual(quick.entries);
  });
});

/** Turns the clock by `ms` and lets the program run, until it is so. */
async function turned(so: () => boolean, ms: number): Promise<void> {
  for (let turn = 0; turn < 200 && !so(); turn += 1) {
    engines.clock.advance(ms);
    for (let breath = 0; breath < 5; breath += 1) await setImmediate();
  }
  expect(so()).toBe(true);
}
