import { EuglenaError } from '../../domain/errors.js';

export const WORK_QUEUE = Symbol('WorkQueue');

/** The message was sent and its confirmation is missing: it may be in the queue, now or later. */
export class UnconfirmedPublish extends EuglenaError {
  constructor(detail: string, cause?: unknown) {
    super('engine_unavailable', detail, { cause });
  }
}

export interface QueueDepth {
  /** Messages that wait for a worker. */
  readonly ready: number;
  /** Messages handed to a worker and not settled yet; deferred ones count as ready. */
  readonly inFlight: number;
  /** Messages in the dead-letter queue. */
  readonly dead: number;
  /** Age of the oldest ready message in seconds; 0 when there is none; null when the engine cannot tell. */
  readonly oldestAgeSeconds: number | null;
}

/** One message in a worker's hands. Exactly one of the three verbs settles it; a crash settles it as redelivery. */
export interface Delivery {
  readonly body: Buffer;
  /** How often the message was handed out, this time included. */
  readonly deliveries: number;
  /** Done: the message is gone. */
  ack(): Promise<void>;
  /** Not now: it comes back after `delayMs`, to any worker, without counting as a failed delivery. */
  defer(delayMs: number): Promise<void>;
  /** Never: it goes to the dead-letter queue with `reason`. */
  deadLetter(reason: string): Promise<void>;
}

export interface DeadLetter {
  readonly body: Buffer;
  readonly reason: string;
  /** Epoch milliseconds; null when the engine cannot tell. */
  readonly at: number | null;
}

export interface Consumer {
  /** Takes no more messages. Resolves when none will be handed out; those in hand can still be settled. */
  stop(): Promise<void>;
}

/**
 * Mandates on their way to a worker, at least once each. A message whose handler neither settled it nor is still running
 * (crash, rejection) is delivered again, up to a limit (20), then dead-lettered.
 */
export interface WorkQueue {
  /**
   * Resolves when the message is durable. Rejects with {@link EuglenaError} `engine_unavailable` when it certainly is not in
   * the queue, and with {@link UnconfirmedPublish} when nobody can tell.
   */
  publish(body: Buffer): Promise<void>;
  /** Hands messages to `handler`, at most `concurrency` at a time. A rejecting handler counts as a failed delivery. */
  consume(handler: (delivery: Delivery) => Promise<void>, concurrency: number): Promise<Consumer>;
  depth(): Promise<QueueDepth>;
  /** The newest dead letters, at most `limit`, left where they are. */
  deadLetters(limit: number): Promise<readonly DeadLetter[]>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
