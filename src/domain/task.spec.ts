import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CALLBACK_STATES } from './callback.js';
import { ERROR_KINDS, type ErrorCode } from './errors.js';
import {
  storedStatuses,
  TASK_STATUSES,
  taskFromJson,
  type TaskRecord,
  taskToApi,
  taskToJson,
  VISIBLE_STATUSES,
  visibleStatus,
} from './task.js';

const anyTime = fc.integer({ min: 0, max: 8.64e15 });
const anyCount = fc.nat();
const anyText = fc.string({ unit: 'binary' });
const anyData = fc
  .dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true })
  .map((data) => JSON.parse(JSON.stringify(data)) as Record<string, unknown>);
const anyRecord: fc.Arbitrary<TaskRecord> = fc.record({
  correlationId: anyText,
  owner: fc.option(anyText),
  status: fc.constantFrom(...TASK_STATUSES),
  mandate: anyText,
  maxTicks: anyCount,
  outputSchema: fc.option(anyData),
  tick: anyCount,
  result: fc.option(
    fc.record({
      answer: anyText,
      exitReason: fc.constantFrom('answered', 'max_ticks'),
      sources: fc.array(
        fc.record({ id: anyText, url: anyText, title: anyText, retrievedAt: anyTime, sha256: anyText }),
        { maxLength: 3 },
      ),
      data: fc.option(anyData),
      dataError: fc.option(anyText),
      unsupported: fc.array(anyText, { maxLength: 3 }),
      model: anyText,
      receipt: anyText,
    }),
  ),
  error: fc.option(
    fc.record({ code: fc.constantFrom(...(Object.keys(ERROR_KINDS) as ErrorCode[])), message: anyText }),
  ),
  usage: fc.record({
    ticks: anyCount,
    modelCalls: anyCount,
    promptTokens: anyCount,
    completionTokens: anyCount,
  }),
  reservation: anyText,
  ticksPaid: anyCount,
  callback: fc.option(
    fc.record({
      url: anyText,
      state: fc.constantFrom(...CALLBACK_STATES),
      attempts: anyCount,
      lastFailure: fc.option(anyText),
    }),
  ),
  workerId: fc.option(anyText),
  createdAt: anyTime,
  updatedAt: anyTime,
  startedAt: fc.option(anyTime),
  finishedAt: fc.option(anyTime),
  head: fc.record({ seq: anyCount, hash: anyText }),
});
const stored = (record: TaskRecord) =>
  JSON.parse(JSON.stringify(taskToJson(record))) as Record<string, unknown>;

describe('a task record', () => {
  it('comes back as it was stored', () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        expect(taskFromJson(stored(record))).toEqual(record);
      }),
    );
  });

  it('comes back from a version that added fields', () => {
    fc.assert(
      fc.property(anyRecord, fc.jsonValue(), (record, extra) => {
        expect(taskFromJson({ ...stored(record), extra })).toEqual(record);
      }),
    );
  });

  it('comes back with empty values from a version that had fewer fields', () => {
    const least = {
      correlation_id: 't-1',
      status: 'pending',
      mandate: 'Find out.',
      created_at: '2026-01-15T12:00:00.000Z',
    };
    const createdAt = Date.UTC(2026, 0, 15, 12);
    expect(taskFromJson(least)).toEqual({
      correlationId: 't-1',
      owner: null,
      status: 'pending',
      mandate: 'Find out.',
      maxTicks: 0,
      outputSchema: null,
      tick: 0,
      result: null,
      error: null,
      usage: { ticks: 0, modelCalls: 0, promptTokens: 0, completionTokens: 0 },
      reservation: 't-1',
      ticksPaid: 0,
      callback: null,
      workerId: null,
      createdAt,
      updatedAt: createdAt,
      startedAt: null,
      finishedAt: null,
      head: { seq: 0, hash: '' },
    });
    for (const field of Object.keys(least)) {
      expect(taskFromJson({ ...least, [field]: undefined })).toBeNull();
      expect(taskFromJson({ ...least, [field]: 5 })).toBeNull();
    }
    expect(taskFromJson({ ...least, status: 'in_queue' })).toBeNull();
  });

  it('reads an unknown error code as an internal one', () => {
    const base = stored(sampleRecord());
    for (const code of ['from_the_future', 'toString', '__proto__', 5, null]) {
      expect(taskFromJson({ ...base, error: { code, message: 'm' } })?.error).toEqual({
        code: 'internal',
        message: 'm',
      });
    }
  });

  it('is read from any JSON without a throw', () => {
    const anyField = fc.oneof(fc.jsonValue(), anyText, fc.constantFrom(...TASK_STATUSES));
    fc.assert(
      fc.property(
        anyRecord,
        fc.dictionary(fc.constantFrom(...Object.keys(taskToJson(sampleRecord()))), anyField),
        (record, damage) => {
          const reading = taskFromJson({ ...stored(record), ...damage });
          if (reading !== null) expect(taskFromJson(stored(reading))).toEqual(reading);
        },
      ),
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(taskFromJson(value)).toBeNull();
      }),
    );
  });
});

describe('what users see of a task', () => {
  it('has no owner, no journal head and no stored status', () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        const api = taskToApi(record);
        expect(Object.keys(api)).toEqual([
          'correlation_id',
          'status',
          'mandate',
          'max_ticks',
          'output_schema',
          'tick',
          'result',
          'error',
          'usage',
          'callback',
          'worker_id',
          'created_at',
          'updated_at',
          'started_at',
          'finished_at',
        ]);
        expect(VISIBLE_STATUSES).toContain(api.status);
      }),
    );
  });

  it('names the statuses as documented', () => {
    expect(TASK_STATUSES.map(visibleStatus)).toEqual([
      'in_queue',
      'in_progress',
      'in_progress',
      'completed',
      'error',
      'cancelled',
    ]);
  });

  it('filters by every stored status behind a visible one', () => {
    expect(storedStatuses('in_progress')).toEqual(['accepted', 'in_progress']);
    expect(VISIBLE_STATUSES.flatMap(storedStatuses).sort()).toEqual([...TASK_STATUSES].sort());
  });
});

function sampleRecord(): TaskRecord {
  return fc.sample(anyRecord, 1)[0] as TaskRecord;
}
