import { expect, it } from '@jest/globals';
import { gate, type Scene } from './work-queue.harness.js';

export function workQueueDepth(scene: () => Scene): void {
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
