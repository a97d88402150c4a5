import { expect, it } from '@jest/globals';
import { type Delivery } from '../../src/ports/work-queue/work-queue.port.js';
import { gate, numbered, type Scene, textsOf } from './work-queue.harness.js';

export function workQueueDelivery(scene: () => Scene): void {
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

export function workQueueSharing(scene: () => Scene): void {
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
