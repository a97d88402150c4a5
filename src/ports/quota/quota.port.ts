import { type QuotaUsage } from '../../domain/quota.js';

export const QUOTA = Symbol('Quota');

export type Reservation =
  /** `ticks`: what is reserved for the task; another number than was asked for if it kept an earlier reservation. */
  | { readonly kind: 'reserved'; readonly ticks: number; readonly usage: QuotaUsage }
  | { readonly kind: 'exceeded'; readonly usage: QuotaUsage };

export interface OpenReservation {
  readonly correlationId: string;
  readonly owner: string;
  readonly ticks: number;
}

/**
 * Daily ticks of each user: reserved at submission, settled at the end. Both are idempotent by task, so that retries and
 * several gateways at once charge once. A reservation belongs to the UTC day on which it was made.
 */
export interface Quota {
  /**
   * Reserves `ticks` if the day's limit covers them. A task with an unsettled reservation keeps it, whatever `ticks` says;
   * a settled one is replaced, charge and day too, as if it had not been.
   */
  reserve(owner: string, correlationId: string, ticks: number): Promise<Reservation>;
  /** Charges what was used and gives the rest back. The first settlement counts; an unknown task is ignored. */
  settle(correlationId: string, usedTicks: number): Promise<void>;
  usage(owner: string): Promise<QuotaUsage>;
  /** Reservations not settled `olderThanMs` after they were made, at most `limit`, oldest first. */
  unsettled(olderThanMs: number, limit: number): Promise<readonly OpenReservation[]>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
