import { expect, it } from '@jest/globals';
import { type Scene, textsOf } from './work-queue.harness.js';

export function workQueueSettling(scene: () => Scene): void {
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

export function workQueueFailures(scene: () => Scene): void {
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
