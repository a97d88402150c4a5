import { expect, it } from '@jest/globals';
import { gate, numbered, type Scene, textsOf } from './work-queue.harness.js';

export function workQueueCrashes(scene: () => Scene): void {
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

export function workQueueDurability(scene: () => Scene): void {
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
