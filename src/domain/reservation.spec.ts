import { describe, expect, it } from '@jest/globals';
import { extensionReservation, taskOfReservation, ticksToCharge } from './reservation.js';
import { cancellation, completion, extension, submission, workerChange } from './task-change.js';
import { plainResult } from '../../test/support/plain-result.js';

const AT = Date.UTC(2026, 0, 15, 12);
const ID = '0b7f1f5e-0000-4000-8000-000000000001';
const LEASE = { correlationId: ID, workerId: 'agent-1', token: 1 };

const { record: submitted } = submission(
  { correlationId: ID, owner: 'alice', mandate: 'Find out.', maxTicks: 10 },
  AT,
  true,
);
const tick = {
  kind: 'tick',
  at: AT,
  action: { name: 'THINK', argument: 'a', thought: '' },
  spent: { modelCalls: 1, promptTokens: 0, completionTokens: 0 },
} as const;
const accepted = { kind: 'accepted', at: AT } as const;
const result = plainResult();
const { record: ended } = completion(submitted, LEASE, [accepted, tick, tick, tick], result, AT);
const mine = extensionReservation(ID, 'a1');
const { record: extended } = extension(ended, { ticks: 5, reservation: mine }, AT);
const { record: going } = workerChange(extended, LEASE, [accepted, tick]);

describe('the reservations of a task', () => {
  it('lead back to it', () => {
    expect(mine).not.toBe(ID);
    expect([ID, mine].map(taskOfReservation)).toEqual([ID, ID]);
    expect(extensionReservation(ID, 'a2')).not.toBe(mine);
  });

  it('stay open while the task may use them', () => {
    for (const record of [submitted, workerChange(submitted, LEASE, [accepted, tick]).record]) {
      expect(ticksToCharge(record, ID)).toBeNull();
    }
    for (const record of [extended, going]) expect(ticksToCharge(record, mine)).toBeNull();
  });

  it('are charged with what their own run used', () => {
    expect(ticksToCharge(ended, ID)).toBe(3);
    expect(ticksToCharge(cancellation(going, AT).record, mine)).toBe(1);
    for (const record of [extended, going, cancellation(going, AT).record]) {
      expect(ticksToCharge(record, ID)).toBe(3);
    }
  });

  it('cost nothing when no stored task uses them', () => {
    expect([ID, mine].map((reservation) => ticksToCharge(null, reservation))).toEqual([0, 0]);
    for (const record of [submitted, ended, extended, going]) {
      expect(ticksToCharge(record, extensionReservation(ID, 'never-stored'))).toBe(0);
    }
  });
});
