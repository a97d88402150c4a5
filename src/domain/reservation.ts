import { isTerminal } from './lifecycle.js';
import { type TaskRecord } from './task.js';

/** The name of an extension's reservation. `mark` tells the extensions of a task apart. */
export function extensionReservation(correlationId: string, mark: string): string {
  return `${correlationId}:${mark}`;
}

/** The task that a reservation is for. A task's first reservation has its own id; ids that gateways make hold no colon. */
export function taskOfReservation(reservation: string): string {
  const colon = reservation.indexOf(':');
  return colon < 0 ? reservation : reservation.slice(0, colon);
}

/**
 * The ticks to charge a reservation that nobody settled, by the record of its task; null while the task may still use it.
 * A reservation that the record does not know was made for a step that was then not stored. Those of earlier runs are
 * settled before a task is extended, so that only the first, made anew by a late retry, can be left.
 */
export function ticksToCharge(record: TaskRecord | null, reservation: string): number | null {
  if (record === null) return 0;
  if (record.reservation === reservation) {
    return isTerminal(record.status) ? record.usage.ticks - record.ticksPaid : null;
  }
  return reservation === record.correlationId ? record.ticksPaid : 0;
}
