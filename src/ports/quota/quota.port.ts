import { type QuotaUsage } from '../../domain/quota.js';

export const QUOTA = Symbol('Quota');

export type Reservation =
  | { readonly kind: 'reserved'; readonly usage: QuotaUsage }
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
  /** Reserves `ticks` if the day's limit covers them. A task that has a reservation keeps it, whatever `ticks` says. */
  reserve(owner: string, correlationId: string, ticks: number): Promise<Reservation>;
  /** Charges what was used and gives the rest back. The first settlement counts; an unknown task is ignored. */
  settle(correlationId: string, usedTicks: number): Promise<void>;
  usage(owner: string): Promise<QuotaUsage>;
  /** Reservations not settled `olderThanMs` after they were made, at most `limit`, oldest first. */
  unsettled(olderThanMs: number, limit: number): Promise<readonly OpenReservation[]>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
