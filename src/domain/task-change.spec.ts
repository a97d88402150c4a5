import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ACTION_NAMES } from './action.js';
import { EMPTY_HEAD, findBreak, type JournalEntry, sha256 } from './journal.js';
import { NO_USAGE, taskFromJson, type TaskRecord, taskToJson } from './task.js';
import {
  cancellation,
  completion,
  envelopeOf,
  extension,
  failure,
  type Lease,
  release,
  submission,
  type TaskChange,
  workerChange,
} from './task-change.js';
import { type WorkerStep } from './worker-steps.js';
import { plainResult } from '../../test/support/plain-result.js';

const AT = Date.UTC(2026, 0, 15, 12);
const LEASE: Lease = { correlationId: 't-1', workerId: 'agent-1', token: 3 };
const RESULT = plainResult();

function submit(owner: string | null = 'alice', queued = false): TaskChange {
  return submission({ correlationId: 't-1', owner, mandate: 'Find out.', maxTicks: 50 }, AT, queued);
}
const accepted = (at = AT + 1): WorkerStep => ({ kind: 'accepted', at });
const tick = (at = AT + 2): WorkerStep => ({
  kind: 'tick',
  at,
  action: { name: 'THINK', argument: 'a note', thought: 'why' },
  spent: { modelCalls: 2, promptTokens: 30, completionTokens: 4 },
});
const observation = (at = AT + 3): WorkerStep => ({ kind: 'observation', at, data: { text: 'seen' } });
const types = ({ entries }: TaskChange) => entries.map(({ type }) => type);

/** A change fits behind the record that it was computed from, and its record can be stored. */
function expectSound(before: TaskRecord | null, change: TaskChange): void {
  const head = before?.head ?? EMPTY_HEAD;
  expect(change.expectedSeq).toBe(head.seq);
  expect(findBreak(change.entries, head)).toBeNull();
  expect(change.record.head.seq).toBe(head.seq + change.entries.length);
  expect(taskFromJson(JSON.parse(JSON.stringify(taskToJson(change.record))))).toEqual(change.record);
}

const anyStep: fc.Arbitrary<WorkerStep> = fc.oneof(
  fc.record({
    kind: fc.constant('tick' as const),
    at: fc.integer({ min: AT, max: AT + 1_000 }),
    action: fc.record({
      name: fc.constantFrom(...ACTION_NAMES),
      argument: fc.string(),
      thought: fc.string(),
    }),
    spent: fc.record({ modelCalls: fc.nat(9), promptTokens: fc.nat(999), completionTokens: fc.nat(999) }),
  }),
  fc.record({
    kind: fc.constant('observation' as const),
    at: fc.integer({ min: AT, max: AT + 1_000 }),
    data: fc.record({ text: fc.string() }),
  }),
);

describe('submission', () => {
  it('starts a journal and a pending task', () => {
    const change = submit();
    expectSound(null, change);
    expect(types(change)).toEqual(['submitted']);
    expect(change.entries[0]?.data).toEqual({ mandate: 'Find out.', max_ticks: 50 });
    expect(change.record).toMatchObject({ status: 'pending', tick: 0, usage: NO_USAGE, createdAt: AT });
    expect([change.outbox, change.lease, change.settlement, change.endsLease]).toEqual([
      undefined,
      undefined,
      undefined,
      false,
    ]);
  });

  it('puts the envelope into the outbox when it is to be queued, with its trace', () => {
    expect(submit('alice', true).outbox).toEqual(envelopeOf(submit().record));
    const input = { correlationId: 't-1', owner: null, mandate: 'x', maxTicks: 1, traceparent: '00-1-2-01' };
    expect(submission(input, AT, true).outbox).toMatchObject({ owner: null, traceparent: '00-1-2-01' });
  });
});

describe('the steps of a worker', () => {
  it('mark the task accepted, then in progress', () => {
    const { record } = submit();
    const first = workerChange(record, LEASE, [accepted()]);
    expectSound(record, first);
    expect(first.record).toMatchObject({ status: 'accepted', workerId: 'agent-1', startedAt: AT + 1 });
    expect(first.entries[0]?.data).toEqual({ worker_id: 'agent-1', attempt: 3 });
    const second = workerChange(first.record, LEASE, [tick(), observation()]);
    expectSound(first.record, second);
    expect(second.record).toMatchObject({ status: 'in_progress', tick: 1, updatedAt: AT + 3 });
    expect(second.entries.map(({ data }) => data)).toEqual([
      {
        tick: 1,
        thought: 'why',
        action: 'THINK',
        argument: 'a note',
        model_calls: 2,
        prompt_tokens: 30,
        completion_tokens: 4,
      },
      { tick: 1, text: 'seen' },
    ]);
    expect([second.lease, second.endsLease, second.settlement]).toEqual([LEASE, false, undefined]);
  });

  it('keep the first start when another worker goes on', () => {
    const { record } = workerChange(submit().record, LEASE, [accepted(), tick()]);
    const next = { ...LEASE, workerId: 'agent-2', token: 4 };
    const change = workerChange(record, next, [accepted(AT + 500)]);
    expect(change.record).toMatchObject({
      status: 'in_progress',
      workerId: 'agent-2',
      startedAt: AT + 1,
      tick: 1,
    });
  });

  it('come to the same in one change or in many', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 12 }), fc.integer({ min: 1, max: 4 }), (steps, size) => {
        const { record: start } = submit();
        const whole = workerChange(start, LEASE, [accepted(), ...steps]);
        expectSound(start, whole);
        let { record } = workerChange(start, LEASE, [accepted()]);
        const parts: JournalEntry[] = [];
        for (let from = 0; from < steps.length; from += size) {
          const part = workerChange(record, LEASE, steps.slice(from, from + size));
          expectSound(record, part);
          parts.push(...part.entries);
          ({ record } = part);
        }
        expect(record).toEqual(whole.record);
        expect(parts).toEqual(whole.entries.slice(1));
      }),
    );
  });

  it('charge each tick once, with what it cost', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 12 }), (steps) => {
        const { record } = workerChange(submit().record, LEASE, [accepted(), ...steps]);
        const ticks = steps.filter((step) => step.kind === 'tick');
        const sum = (of: 'modelCalls' | 'promptTokens' | 'completionTokens') =>
          ticks.reduce((total, { spent }) => total + spent[of], 0);
        expect(record.tick).toBe(ticks.length);
        expect(record.usage).toEqual({
          ticks: ticks.length,
          modelCalls: sum('modelCalls'),
          promptTokens: sum('promptTokens'),
          completionTokens: sum('completionTokens'),
        });
      }),
    );
  });

  it('change nothing when there are none', () => {
    const { record } = workerChange(submit().record, LEASE, [accepted()]);
    const change = workerChange(record, LEASE, []);
    expect(change).toMatchObject({ record, entries: [], expectedSeq: 2, lease: LEASE });
  });
});

describe('the end of a task', () => {
  const { record: working } = workerChange(submit().record, LEASE, [accepted(), tick()]);

  it('by its worker has an answer and the receipt of its journal', () => {
    const change = completion(working, LEASE, [tick(), observation()], RESULT, AT + 9);
    expectSound(working, change);
    expect(types(change)).toEqual(['tick', 'observation', 'finished']);
    expect(change.record).toMatchObject({
      status: 'completed',
      finishedAt: AT + 9,
      updatedAt: AT + 9,
      tick: 2,
    });
    expect(change.record.result).toEqual({ ...RESULT, receipt: change.entries.at(-1)?.hash });
    expect(change.entries.at(-1)?.data).toEqual({
      status: 'completed',
      exit_reason: 'answered',
      answer_sha256: sha256(RESULT.answer),
      usage: { ticks: 2, model_calls: 4, prompt_tokens: 60, completion_tokens: 8 },
    });
    expect([change.lease, change.endsLease]).toEqual([LEASE, true]);
    expect(change.settlement).toEqual({ correlationId: 't-1', owner: 'alice', usedTicks: 2 });
  });

  it('by a failure keeps the steps that were done', () => {
    const error = { code: 'model_unavailable', message: 'No answer.' } as const;
    const change = failure(working, error, AT + 9, { lease: LEASE, steps: [tick()] });
    expectSound(working, change);
    expect(types(change)).toEqual(['tick', 'finished']);
    expect(change.record).toMatchObject({ status: 'error', error, result: null, finishedAt: AT + 9 });
    expect(change.entries.at(-1)?.data).toMatchObject({ status: 'error', error, usage: { ticks: 2 } });
    expect([change.lease, change.endsLease, change.settlement?.usedTicks]).toEqual([LEASE, true, 2]);
  });

  it('by a failure without a worker ends whoever has the lease', () => {
    const error = { code: 'expired', message: 'Too old.' } as const;
    for (const before of [submit().record, working]) {
      const change = failure(before, error, AT + 9);
      expectSound(before, change);
      expect([change.lease, change.endsLease, change.record.status]).toEqual([undefined, true, 'error']);
      expect(change.settlement?.usedTicks).toBe(before.usage.ticks);
    }
  });

  it('by its owner ends whoever has the lease', () => {
    for (const before of [submit().record, working]) {
      const change = cancellation(before, AT + 9);
      expectSound(before, change);
      expect(types(change)).toEqual(['finished']);
      expect([change.lease, change.endsLease, change.record.status]).toEqual([undefined, true, 'cancelled']);
      expect(change.settlement).toEqual({
        correlationId: 't-1',
        owner: 'alice',
        usedTicks: before.usage.ticks,
      });
    }
  });

  it('settles nothing for a task without an owner', () => {
    const { record } = workerChange(submit(null).record, LEASE, [accepted()]);
    expect(completion(record, LEASE, [], RESULT, AT + 9).settlement).toBeUndefined();
    expect(cancellation(record, AT + 9).settlement).toBeUndefined();
  });

  it('comes once', () => {
    const ended = [
      completion(working, LEASE, [], RESULT, AT + 9),
      failure(working, { code: 'internal', message: '' }, AT + 9),
      cancellation(working, AT + 9),
    ];
    for (const { record } of ended) {
      for (const again of [
        () => completion(record, LEASE, [], RESULT, AT + 10),
        () => failure(record, { code: 'internal', message: '' }, AT + 10),
        () => cancellation(record, AT + 10),
        () => release(record, LEASE, [], 'drain', AT + 10),
        () => workerChange(record, LEASE, [accepted()]),
        () => workerChange(record, LEASE, [tick()]),
      ]) {
        expect(again).toThrow(expect.objectContaining({ code: 'conflict' }));
      }
    }
  });

  it('needs a worker that accepted the task', () => {
    const { record } = submit();
    expect(() => completion(record, LEASE, [], RESULT, AT)).toThrow('pending');
    expect(() => workerChange(record, LEASE, [tick()])).toThrow('pending');
    expect(completion(record, LEASE, [accepted(), tick()], RESULT, AT).record.status).toBe('completed');
  });
});

describe('release', () => {
  it('hands the task back with what was done', () => {
    const { record } = workerChange(submit().record, LEASE, [accepted()]);
    const change = release(record, LEASE, [tick()], 'drain', AT + 9);
    expectSound(record, change);
    expect(types(change)).toEqual(['tick', 'released']);
    expect(change.entries.at(-1)?.data).toEqual({ worker_id: 'agent-1', reason: 'drain' });
    expect(change.record).toMatchObject({ status: 'pending', workerId: null, tick: 1, finishedAt: null });
    expect([change.lease, change.endsLease, change.settlement]).toEqual([LEASE, true, undefined]);
  });
});

describe('extension', () => {
  const { record: working } = workerChange(submit().record, LEASE, [accepted(), tick()]);
  const { record: completed } = completion(working, LEASE, [tick()], RESULT, AT + 9);
  const { record: failed } = failure(working, { code: 'model_unavailable', message: 'Gone.' }, AT + 9);
  const input = { ticks: 5, reservation: 't-1:a' };

  it('makes an ended task wait again, with more ticks and without the outcome that it had', () => {
    for (const before of [completed, failed]) {
      const change = extension(before, input, AT + 20);
      expectSound(before, change);
      expect(types(change)).toEqual(['extended']);
      expect(change.entries[0]?.data).toEqual({ ticks: 5, max_ticks: 55, reservation: 't-1:a' });
      expect(change.record).toEqual({
        ...before,
        status: 'pending',
        maxTicks: 55,
        result: null,
        error: null,
        workerId: null,
        finishedAt: null,
        reservation: 't-1:a',
        ticksPaid: before.usage.ticks,
        updatedAt: AT + 20,
        head: change.record.head,
      });
      expect(change.outbox).toEqual(envelopeOf(change.record));
      expect([change.lease, change.endsLease, change.settlement]).toEqual([undefined, false, undefined]);
    }
  });

  it('keeps the trace context of who asked for it', () => {
    const traced = extension(completed, { ...input, traceparent: '00-1-2-01' }, AT + 20);
    expect(traced.outbox?.traceparent).toBe('00-1-2-01');
  });

  it('is charged on its own reservation, each run for its own ticks', () => {
    let record = extension(completed, input, AT + 20).record;
    ({ record } = workerChange(record, LEASE, [accepted(), tick(), tick(), tick()]));
    const second = completion(record, LEASE, [], RESULT, AT + 30);
    expectSound(record, second);
    const settlement = { correlationId: 't-1', owner: 'alice' };
    expect(second.settlement).toEqual({ ...settlement, reservation: 't-1:a', usedTicks: 3 });
    ({ record } = extension(second.record, { ticks: 1, reservation: 't-1:b' }, AT + 40));
    expect(cancellation(record, AT + 50).settlement).toEqual({
      ...settlement,
      reservation: 't-1:b',
      usedTicks: 0,
    });
  });

  it('is refused for a task that has not ended, or that its owner cancelled', () => {
    for (const { record } of [submit(), { record: working }, cancellation(working, AT + 9)]) {
      expect(() => extension(record, input, AT + 20)).toThrow(expect.objectContaining({ code: 'conflict' }));
    }
  });
});
