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
export class Scene {
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
export function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => undefined as void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

export const numbered = (count: number) => Array.from({ length: count }, (_, index) => `m${index}`);
export const textsOf = (received: readonly Received[]) => received.map(({ text }) => text);
