import { Logger } from '@nestjs/common';
import { type Clock } from '../../domain/clock.js';
import { type EmbeddedDatabase } from '../embedded/embedded-database.js';
import { type HeldMessage, type MessageTable } from './sqlite-message-table.js';
import { type Consumer, type Delivery } from './work-queue.port.js';

/** A consumer that could not look (the data folder was busy) looks again after this, in ms. */
const LOOK_AGAIN_MS = 1_000;
/** The longest wait that a timer takes; a longer one is waited for in parts. */
const TIMER_MAX_MS = 2_147_483_647;

class SqliteDelivery implements Delivery {
  private readonly keeping = new AbortController();
  private isSettled = false;

  constructor(
    private readonly messages: MessageTable,
    private readonly held: HeldMessage,
  ) {}

  get body(): Buffer {
    return this.held.body;
  }

  get deliveries(): number {
    return this.held.deliveries;
  }

  get settled(): boolean {
    return this.isSettled;
  }

  async ack(): Promise<void> {
    this.settle(() => this.messages.remove(this.held));
  }

  async defer(delayMs: number): Promise<void> {
    this.settle(() => this.messages.putBack(this.held, delayMs));
  }

  async deadLetter(reason: string): Promise<void> {
    this.settle(() => this.messages.deadLetter(this.held, reason));
  }

  fail(): void {
    this.settle(() => this.messages.fail(this.held));
  }

  /** Keeps the message from the others until it is settled, lost or let go. */
  async keep(clock: Clock, everyMs: number, logger: Logger): Promise<void> {
    while (await slept(clock, everyMs, this.keeping.signal)) {
      try {
        if (!this.messages.extend(this.held)) this.letGo();
      } catch (error) {
        logger.warn(`A message in hand could not be kept, next try in ${everyMs} ms: ${messageOf(error)}`);
      }
    }
  }

  letGo(): void {
    this.keeping.abort();
  }

  private settle(step: () => void): void {
    if (this.isSettled) return;
    step();
    this.isSettled = true;
    this.letGo();
  }
}

/** Hands out messages while it has free slots. Looks after each commit to the data folder and when the next one is due. */
export class SqliteConsumer implements Consumer {
  private readonly logger = new Logger('WorkQueue');
  private readonly inHand = new Set<SqliteDelivery>();
  private alarm: { readonly at: number; readonly off: AbortController } | undefined;
  private unsubscribe: () => void = () => undefined;
  private lookIsDue = false;
  private stopped = false;

  constructor(
    private readonly messages: MessageTable,
    private readonly clock: Clock,
    private readonly visibilityMs: number,
    private readonly handler: (delivery: Delivery) => Promise<void>,
    private readonly concurrency: number,
  ) {}

  start(database: EmbeddedDatabase): void {
    this.unsubscribe = database.onChange(() => this.wake());
    this.wake();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.unsubscribe();
    this.alarm?.off.abort();
    this.alarm = undefined;
  }

  close(): void {
    void this.stop();
    this.inHand.forEach((delivery) => delivery.letGo());
  }

  /** Looks once this turn of the event loop is over, however often it is asked to. */
  private wake(): void {
    if (this.lookIsDue || this.stopped) return;
    this.lookIsDue = true;
    setImmediate(() => {
      this.lookIsDue = false;
      this.look();
    });
  }

  private look(): void {
    const free = this.concurrency - this.inHand.size;
    if (this.stopped || free <= 0) return;
    try {
      const next = this.messages.nextVisibleAt();
      if (next === null) return;
      if (next > this.clock.now()) return this.setAlarm(next);
      // Its commit wakes this consumer again, for what is left and for the alarm.
      for (const held of this.messages.take(free)) void this.handle(held);
    } catch (error) {
      this.logger.warn(`The queue could not be read, next try in ${LOOK_AGAIN_MS} ms: ${messageOf(error)}`);
      this.setAlarm(this.clock.now() + LOOK_AGAIN_MS);
    }
  }

  private setAlarm(at: number): void {
    if (this.alarm?.at === at) return;
    this.alarm?.off.abort();
    const off = new AbortController();
    this.alarm = { at, off };
    void slept(this.clock, at - this.clock.now(), off.signal).then((rings) => {
      if (!rings) return;
      this.alarm = undefined;
      this.wake();
    });
  }

  private async handle(held: HeldMessage): Promise<void> {
    const delivery = new SqliteDelivery(this.messages, held);
    this.inHand.add(delivery);
    void delivery.keep(this.clock, this.visibilityMs / 3, this.logger);
    try {
      await this.handler(delivery);
      if (!delivery.settled) throw new Error('the handler ended without settling it');
    } catch (error) {
      this.logger.warn(`Delivery ${held.deliveries} of a message failed: ${messageOf(error)}`);
      this.giveBack(delivery);
    } finally {
      this.inHand.delete(delivery);
      this.wake();
    }
  }

  private giveBack(delivery: SqliteDelivery): void {
    try {
      delivery.fail();
    } catch (error) {
      delivery.letGo();
      this.logger.warn(`It comes back in ${this.visibilityMs} ms: ${messageOf(error)}`);
    }
  }
}

/** False when the sleep was called off. */
async function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(Math.min(ms, TIMER_MAX_MS), signal);
    return true;
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
