import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type Consumer,
  type Delivery,
  type QueueDepth,
  type WorkQueue,
} from '../../src/ports/work-queue/work-queue.port.js';
import { eventually } from '../support/eventually.js';

/** What an adapter brings to the suite. */
export interface WorkQueueHarness {
  /** An empty queue. */
  readonly queue: WorkQueue;
  /** Failed deliveries after which the queue dead-letters a message; 2 to 5. */
  readonly deliveryLimit: number;
  /** How long a message stays with a holder that shows no sign of life, in ms; at most 300. */
  readonly visibilityMs: number;
  /** Another instance over the same data: another process, as far as the adapter knows. */
  again(): Promise<WorkQueue>;
  /** Epoch milliseconds of the time that {@link elapse} passes. */
  now(): number;
  elapse(ms: number): Promise<void>;
  /** The instance is gone as by kill -9: it settles nothing and says nothing. */
  crash(queue: WorkQueue): Promise<void>;
  /** Closes every instance and removes the data. */
  close(): Promise<void>;
}

interface Received {
  readonly text: string;
  readonly deliveries: number;
  readonly at: number;
}

/** The harness of the running test, and what most tests do with it. */
class Scene {
  constructor(readonly harness: WorkQueueHarness) {}

  get queue(): WorkQueue {
    return this.harness.queue;
  }

  /** Lets time pass until the probe holds. */
  until(what: string, probe: () => Promise<boolean> | boolean): Promise<boolean> {
    return eventually(what, async () => {
      if (await probe()) return true;
      await this.harness.elapse(20);
      return probe();
    });
  }

  /** Consumes with `handler` and keeps a list of what it was handed. */
  async collect(
    handler: (delivery: Delivery) => Promise<void> = (delivery) => delivery.ack(),
    { queue = this.queue, concurrency = 1 } = {},
  ): Promise<{ received: Received[]; consumer: Consumer }> {
    const received: Received[] = [];
    const consumer = await queue.consume((delivery) => {
      received.push({
        text: delivery.body.toString(),
        deliveries: delivery.deliveries,
        at: this.harness.now(),
      });
      return handler(delivery);
    }, concurrency);
    return { received, consumer };
  }

  depthIs(expected: Partial<QueueDepth>, queue = this.queue): Promise<boolean> {
    return this.until(`depth ${JSON.stringify(expected)}`, async () => {
      const depth = await queue.depth();
      return Object.entries(expected).every(([key, value]) => depth[key as keyof QueueDepth] === value);
    });
  }

  async publish(...texts: string[]): Promise<void> {
    for (const text of texts) await this.queue.publish(Buffer.from(text));
  }
}

/** A promise that the test keeps. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => undefined as void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `m${index}`);
const textsOf = (received: readonly Received[]) => received.map(({ text }) => text);

/** What every work queue must do, whichever engine carries it. */
export function workQueueContract(name: string, open: () => Promise<WorkQueueHarness>): void {
  describe(`work queue on ${name}`, () => {
    let scene: Scene;
    beforeEach(async () => {
      scene = new Scene(await open());
    });
    afterEach(() => scene.harness.close());

    describe('delivery', () => deliveryTests(() => scene));
    describe('sharing', () => sharingTests(() => scene));
    describe('settling', () => settlingTests(() => scene));
    describe('failed deliveries', () => failureTests(() => scene));
    describe('crashes', () => crashTests(() => scene));
    describe('durability', () => durabilityTests(() => scene));
    describe('depth and closing', () => depthTests(() => scene));
  });
}

function deliveryTests(scene: () => Scene): void {
  it('hands out what is published while it waits, and an ack is the end of it', async () => {
    const { received } = await scene().collect();
    await scene().harness.elapse(100);
    await scene().publish('hello');
    await scene().until('the delivery', () => received.length === 1);
    expect(received).toMatchObject([{ text: 'hello', deliveries: 1 }]);
    await scene().depthIs({ ready: 0, inFlight: 0, dead: 0 });
    await scene().harness.elapse(scene().harness.visibilityMs * 2);
    expect(received).toHaveLength(1);
  });

  it('hands out what another instance publishes', async () => {
    const { received } = await scene().collect();
    await scene().harness.elapse(100);
    await (await scene().harness.again()).publish(Buffer.from('from afar'));
    await scene().until('the delivery', () => received.length === 1);
    expect(textsOf(received)).toEqual(['from afar']);
  });

  it('keeps the order of publishing for one consumer', async () => {
    await scene().publish(...numbered(30));
    const { received } = await scene().collect();
    await scene().until('all of them', () => received.length === 30);
    expect(textsOf(received)).toEqual(numbered(30));
  });

  it.each([
    ['no bytes', Buffer.alloc(0)],
    ['every byte value', Buffer.from(Array.from({ length: 256 }, (_, value) => value))],
    ['1 MB', Buffer.alloc(1_048_576, 'abc\u0000ÿ')],
  ])('carries a body of %s byte for byte', async (_, body) => {
    const bodies: Buffer[] = [];
    await scene().collect(async (delivery) => {
      bodies.push(delivery.body);
      await (bodies.length === 1 ? delivery.defer(0) : delivery.deadLetter('read it'));
    });
    await scene().queue.publish(body);
    await scene().depthIs({ ready: 0, inFlight: 0, dead: 1 });
    bodies.push(...(await scene().queue.deadLetters(10)).map((letter) => letter.body));
    expect(bodies.map((found) => found instanceof Buffer && found.equals(body))).toEqual([true, true, true]);
  });
}

function sharingTests(scene: () => Scene): void {
  it('runs at most `concurrency` handlers at a time, and that many', async () => {
    await scene().publish(...numbered(6));
    const gates: (() => void)[] = [];
    let running = 0;
    let most = 0;
    const { received } = await scene().collect(
      async (delivery) => {
        running += 1;
        most = Math.max(most, running);
        const { opened, open } = gate();
        gates.push(open);
        await opened;
        await delivery.ack();
        running -= 1;
      },
      { concurrency: 2 },
    );
    for (let done = 0; done < 6; done += 1) {
      await scene().until('both slots in use', () => received.length === Math.min(6, done + 2));
      gates[done]?.();
    }
    await scene().depthIs({ ready: 0, inFlight: 0 });
    expect(most).toBe(2);
  });

  it('goes on with the next message when a handler ends long after its ack', async () => {
    const { opened, open } = gate();
    const { received } = await scene().collect(async (delivery) => {
      await delivery.ack();
      await opened;
    });
    await scene().publish('first', 'second');
    await scene().until('the first', () => received.length > 0);
    await scene().harness.elapse(100);
    open();
    await scene().until('the second', () => received.length === 2);
    expect(textsOf(received)).toEqual(['first', 'second']);
  });

  it('gives each message to one of the competing instances', async () => {
    await scene().publish(...numbered(40));
    const bothAtWork = gate();
    const hold = async (delivery: Delivery) => {
      await bothAtWork.opened;
      await delivery.ack();
    };
    const other = await scene().harness.again();
    const one = await scene().collect(hold, { concurrency: 5 });
    const two = await scene().collect(hold, { concurrency: 5, queue: other });
    await scene().until('both at work', () => one.received.length === 5 && two.received.length === 5);
    bothAtWork.open();
    await scene().depthIs({ ready: 0, inFlight: 0 });
    expect(textsOf([...one.received, ...two.received]).sort()).toEqual(numbered(40).sort());
  });

  it('serves several consumers of one instance', async () => {
    const bothAtWork = gate();
    const hold = async (delivery: Delivery) => {
      await bothAtWork.opened;
      await delivery.ack();
    };
    const one = await scene().collect(hold);
    const two = await scene().collect(hold);
    await scene().publish('a', 'b', 'c');
    await scene().until('both at work', () => one.received.length === 1 && two.received.length === 1);
    bothAtWork.open();
    await scene().depthIs({ ready: 0, inFlight: 0 });
    expect(textsOf([...one.received, ...two.received]).sort()).toEqual(['a', 'b', 'c']);
  });

  it('hands out nothing more after stop(), and what is in hand can still be settled', async () => {
    const { opened, open } = gate();
    const { received, consumer } = await scene().collect(async (delivery) => {
      await opened;
      await delivery.ack();
    });
    await scene().publish('in hand', 'left');
    await scene().until('the first', () => received.length === 1);
    await consumer.stop();
    await scene().harness.elapse(scene().harness.visibilityMs * 2);
    open();
    await scene().depthIs({ ready: 1, inFlight: 0, dead: 0 });
    const { received: afterwards } = await scene().collect();
    await scene().until('the other', () => afterwards.length === 1);
    expect(textsOf(received)).toEqual(['in hand']);
    expect(afterwards).toMatchObject([{ text: 'left', deliveries: 1 }]);
  });
}

function settlingTests(scene: () => Scene): void {
  it('brings a deferred message back after its delay, not before', async () => {
    let deferredAt = 0;
    const { received } = await scene().collect(async (delivery) => {
      if (delivery.deliveries > 1) return delivery.ack();
      deferredAt = scene().harness.now();
      await delivery.defer(200);
    });
    await scene().publish('later');
    await scene().until('the second delivery', () => received.length === 2);
    expect(received).toMatchObject([{ deliveries: 1 }, { text: 'later', deliveries: 2 }]);
    expect((received[1]?.at ?? 0) - deferredAt).toBeGreaterThanOrEqual(200);
  });

  it('lets other messages pass a deferred one', async () => {
    const { received } = await scene().collect((delivery) =>
      delivery.body.equals(Buffer.from('later')) ? delivery.defer(60_000) : delivery.ack(),
    );
    await scene().publish('later', 'now');
    await scene().until('the other', () => received.length === 2);
    expect(textsOf(received)).toEqual(['later', 'now']);
    await scene().depthIs({ ready: 1, inFlight: 0 });
  });

  it('does not count a deferral as a failed delivery', async () => {
    const deferrals = scene().harness.deliveryLimit + 2;
    const { received } = await scene().collect((delivery) =>
      delivery.deliveries > deferrals ? delivery.ack() : delivery.defer(10),
    );
    await scene().publish('patient');
    await scene().until('all deliveries', () => received.length === deferrals + 1);
    await scene().depthIs({ ready: 0, inFlight: 0, dead: 0 });
  });

  it('keeps dead letters with their reason, and goes on with the next message', async () => {
    const before = scene().harness.now();
    const { received } = await scene().collect((delivery) =>
      delivery.body.toString() === 'good'
        ? delivery.ack()
        : delivery.deadLetter(`because ${delivery.body.toString()}`),
    );
    await scene().publish('bad1', 'bad2', 'bad3', 'good');
    await scene().until('the good one', () => received.length === 4);
    await scene().depthIs({ ready: 0, inFlight: 0, dead: 3 });
    const letters = await scene().queue.deadLetters(2);
    expect(letters.map(({ body, reason }) => [body.toString(), reason]).sort()).toEqual([
      ['bad2', 'because bad2'],
      ['bad3', 'because bad3'],
    ]);
    for (const { at } of letters) expect(at ?? before).toBeGreaterThanOrEqual(before);
    expect(await scene().queue.deadLetters(10)).toHaveLength(3);
  });

  it('ignores every settlement after the first', async () => {
    const { received } = await scene().collect(async (delivery) => {
      await (delivery.body.toString() === 'done' ? delivery.ack() : delivery.defer(60_000));
      await delivery.deadLetter('too late');
      await delivery.defer(0);
      await delivery.ack();
    });
    await scene().publish('done', 'later');
    await scene().until('both', () => received.length === 2);
    await scene().depthIs({ ready: 1, inFlight: 0, dead: 0 });
    expect(textsOf(received)).toEqual(['done', 'later']);
  });
}

function failureTests(scene: () => Scene): void {
  it('delivers again what a handler rejected, and dead-letters it past the limit', async () => {
    const { deliveryLimit } = scene().harness;
    const { received } = await scene().collect((delivery) =>
      delivery.body.toString() === 'good'
        ? delivery.ack()
        : Promise.reject(new Error('this cannot be handled')),
    );
    await scene().publish('bad', 'good');
    await scene().depthIs({ ready: 0, inFlight: 0, dead: 1 });
    const bad = received.filter(({ text }) => text === 'bad');
    expect(bad.map(({ deliveries }) => deliveries)).toEqual(
      Array.from({ length: deliveryLimit }, (_, index) => index + 1),
    );
    expect(received.filter(({ text }) => text === 'good')).toHaveLength(1);
    const [letter] = await scene().queue.deadLetters(1);
    expect(letter?.body.toString()).toBe('bad');
    expect(letter?.reason).toContain(`${deliveryLimit}`);
  });

  it('treats a handler that throws at once, or ends without settling, as one that rejected', async () => {
    const { received } = await scene().collect((delivery) => {
      if (delivery.deliveries > 1) return delivery.ack();
      if (delivery.body.toString() === 'throws') throw new Error('at once');
      return Promise.resolve();
    });
    await scene().publish('throws', 'forgets');
    await scene().until('two deliveries each', () => received.length === 4);
    await scene().depthIs({ ready: 0, inFlight: 0, dead: 0 });
    const again = received.filter(({ deliveries }) => deliveries === 2);
    expect(textsOf(again).sort()).toEqual(['forgets', 'throws']);
  });

  it('keeps a settlement although the handler rejects afterwards', async () => {
    const { received } = await scene().collect(async (delivery) => {
      await delivery.ack();
      throw new Error('after the fact');
    });
    await scene().publish('done');
    await scene().until('the delivery', () => received.length === 1);
    await scene().depthIs({ ready: 0, inFlight: 0, dead: 0 });
  });
}

function crashTests(scene: () => Scene): void {
  it('delivers what a crashed instance had in hand again, to another one', async () => {
    const doomed = await scene().harness.again();
    const { received } = await scene().collect(() => new Promise(() => undefined), { queue: doomed });
    await scene().publish('survivor');
    await scene().until('the first delivery', () => received.length === 1);
    const { received: afterwards } = await scene().collect();
    await scene().harness.crash(doomed);
    await scene().until('the second delivery', () => afterwards.length === 1);
    expect(afterwards).toMatchObject([{ text: 'survivor', deliveries: 2 }]);
    await scene().depthIs({ ready: 0, inFlight: 0, dead: 0 });
  });

  it('dead-letters a message that crashes every instance it meets', async () => {
    const { deliveryLimit } = scene().harness;
    await scene().publish('poison');
    for (let crashes = 0; crashes < deliveryLimit; crashes += 1) {
      const doomed = await scene().harness.again();
      const { received } = await scene().collect(() => new Promise(() => undefined), { queue: doomed });
      await scene().until('its delivery', () => received.length === 1);
      await scene().harness.crash(doomed);
    }
    const { received } = await scene().collect();
    await scene().publish('next');
    await scene().depthIs({ ready: 0, inFlight: 0, dead: 1 });
    expect(textsOf(received)).toEqual(['next']);
    expect((await scene().queue.deadLetters(1))[0]?.reason).toContain(`${deliveryLimit}`);
  });

  it('leaves a message with a handler that runs for long', async () => {
    const { opened, open } = gate();
    const { received } = await scene().collect(async (delivery) => {
      await opened;
      await delivery.ack();
    });
    await scene().publish('long');
    await scene().until('the delivery', () => received.length === 1);
    const { received: elsewhere } = await scene().collect(undefined, {
      queue: await scene().harness.again(),
    });
    const { received: beside } = await scene().collect();
    await scene().harness.elapse(scene().harness.visibilityMs * 4);
    await scene().depthIs({ ready: 0, inFlight: 1 });
    open();
    await scene().depthIs({ ready: 0, inFlight: 0, dead: 0 });
    expect([received.length, elsewhere.length, beside.length]).toEqual([1, 0, 0]);
  });
}

function durabilityTests(scene: () => Scene): void {
  it('has a message on disk or replicated before publish() resolves: another instance sees it', async () => {
    await scene().publish('durable');
    const other = await scene().harness.again();
    expect((await other.depth()).ready).toBe(1);
    await scene().harness.crash(scene().queue);
    const { received } = await scene().collect(undefined, { queue: other });
    await scene().until('the delivery', () => received.length === 1);
    expect(received).toMatchObject([{ text: 'durable', deliveries: 1 }]);
  });

  it('keeps 1,000 messages over close and reopen', async () => {
    await Promise.all(numbered(1_000).map((text) => scene().publish(text)));
    await scene().queue.close();
    const reopened = await scene().harness.again();
    await scene().depthIs({ ready: 1_000, inFlight: 0 }, reopened);
    const { received } = await scene().collect(undefined, { queue: reopened, concurrency: 50 });
    await scene().depthIs({ ready: 0, inFlight: 0 }, reopened);
    expect(textsOf(received).sort()).toEqual(numbered(1_000).sort());
  });
}

function depthTests(scene: () => Scene): void {
  it('tells what is ready, in flight and dead', async () => {
    const { queue, harness } = scene();
    const empty = await queue.depth();
    expect(empty).toMatchObject({ ready: 0, inFlight: 0, dead: 0 });
    expect([0, null]).toContain(empty.oldestAgeSeconds);
    await scene().publish('held', 'dead', 'deferred', 'waiting');
    await harness.elapse(200);
    await scene().depthIs({ ready: 4, inFlight: 0, dead: 0 });
    const age = (await queue.depth()).oldestAgeSeconds;
    if (age !== null) expect(age).toBeGreaterThanOrEqual(0.2);

    const { opened, open } = gate();
    const { received, consumer } = await scene().collect(
      async (delivery) => {
        const text = delivery.body.toString();
        if (text === 'dead') return delivery.deadLetter('as planned');
        if (text === 'deferred') return delivery.defer(60_000);
        await opened;
        await delivery.ack();
      },
      { concurrency: 2 },
    );
    await scene().until('all of them', () => received.length === 4);
    await consumer.stop();
    await scene().depthIs({ ready: 1, inFlight: 2, dead: 1 });
    open();
    await scene().depthIs({ ready: 1, inFlight: 0, dead: 1 });
  });

  it('answers a ping', async () => {
    await expect(scene().queue.ping()).resolves.toBeUndefined();
  });

  it('refuses work once it is closed, and hands out nothing more', async () => {
    const { received } = await scene().collect();
    await scene().queue.close();
    await scene().queue.close();
    const refusal = { name: 'EuglenaError', code: 'engine_unavailable' };
    await expect(scene().publish('lost')).rejects.toMatchObject(refusal);
    await expect(scene().collect()).rejects.toMatchObject(refusal);
    await expect(scene().queue.ping()).rejects.toMatchObject(refusal);
    const other = await scene().harness.again();
    await other.publish(Buffer.from('for others'));
    await scene().harness.elapse(100);
    await scene().depthIs({ ready: 1, inFlight: 0 }, other);
    expect(received).toEqual([]);
  });
}
