import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  encodeEnvelope,
  ENVELOPE_MAX_BYTES,
  ENVELOPE_VERSION,
  isTaskId,
  MANDATE_MAX_CHARS,
  readEnvelope,
  type TaskEnvelope,
  TICKS_MAX,
} from './envelope.js';

const FIRST = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const anyId = fc
  .tuple(fc.constantFrom(...FIRST), fc.string({ unit: fc.constantFrom(...`${FIRST}._:-`), maxLength: 127 }))
  .map(([first, rest]) => first + rest);
const anyEnvelope: fc.Arbitrary<TaskEnvelope> = fc.record({
  mandate: fc.string({ unit: 'binary', minLength: 1 }).filter((text) => text.trim() !== ''),
  maxTicks: fc.integer({ min: 1, max: TICKS_MAX }),
  correlationId: anyId,
  version: fc.constant(ENVELOPE_VERSION),
  owner: fc.option(fc.string({ unit: 'binary' })),
  createdAt: fc.option(fc.integer({ min: -8.64e15, max: 8.64e15 })),
  traceparent: fc.option(fc.string({ maxLength: 128 })),
  callbackUrl: fc.option(fc.string({ maxLength: 2_048 })),
  outputSchema: fc.option(fc.constant({ type: 'object', properties: { a: { type: 'integer' } } })),
});

const SEED = { mandate: 'Find out.', max_ticks: 7, correlation_id: 't-1' };
const read = (json: unknown) => readEnvelope(Buffer.from(JSON.stringify(json)));
const reasonOf = (json: unknown) => {
  const reading = read(json);
  return reading.kind === 'malformed' ? reading.reason : reading.kind;
};

describe('an envelope', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(anyEnvelope, (envelope) => {
        expect(readEnvelope(encodeEnvelope(envelope))).toEqual({ kind: 'envelope', envelope });
      }),
    );
  });

  it('has the names of the wire format', () => {
    const envelope: TaskEnvelope = {
      mandate: 'Find out.',
      maxTicks: 7,
      correlationId: 't-1',
      version: 1,
      owner: 'alice',
      createdAt: 0,
      traceparent: null,
      callbackUrl: null,
      outputSchema: null,
    };
    expect(JSON.parse(encodeEnvelope(envelope).toString())).toEqual({
      ...SEED,
      version: 1,
      user_id: 'alice',
      created_at: '1970-01-01T00:00:00.000Z',
    });
  });

  it('needs no more than its mandate and its id', () => {
    const expected = {
      version: ENVELOPE_VERSION,
      owner: null,
      createdAt: null,
      traceparent: null,
      callbackUrl: null,
      outputSchema: null,
    };
    expect(read({ mandate: 'Find out.', correlation_id: 't-1', extra: [1] })).toEqual({
      kind: 'envelope',
      envelope: { mandate: 'Find out.', maxTicks: 50, correlationId: 't-1', ...expected },
    });
  });

  it('does without optional fields that cannot be read', () => {
    const odd = { ...SEED, user_id: 5, created_at: 'yesterday', traceparent: 'x'.repeat(129) };
    expect(read(odd)).toMatchObject({
      kind: 'envelope',
      envelope: { owner: null, createdAt: null, traceparent: null },
    });
  });

  it('is left to a newer worker when it is newer, whatever else it says', () => {
    expect(read({ correlation_id: 't-1', version: ENVELOPE_VERSION + 1 })).toEqual({
      kind: 'newer',
      version: ENVELOPE_VERSION + 1,
    });
  });
});

describe('a message that is no envelope', () => {
  it.each([
    ['correlation_id', [undefined, null, 5, '', ' ', '-a', 'a b', 'a/b', 'ä', 'a\n', 'a'.repeat(129)]],
    ['version', [null, '1', 0, -1, 1.5, 1e300]],
    ['mandate', [undefined, null, 5, '', ' \t\n\u00a0', 'x'.repeat(MANDATE_MAX_CHARS + 1)]],
    [
      'output_schema',
      [5, 'object', [], {}, { type: 'array' }, { type: 'object', title: 'x'.repeat(20_000) }],
    ],
    ['max_ticks', [null, '5', 0, -1, 1.5, TICKS_MAX + 1, 1e300, true]],
  ])('is told what is wrong with its %s', (field, values) => {
    for (const value of values) expect(reasonOf({ ...SEED, [field]: value })).toContain(field);
  });

  it('keeps its id where that can be read', () => {
    expect(read({ ...SEED, mandate: '' })).toMatchObject({ kind: 'malformed', correlationId: 't-1' });
    expect(read({ ...SEED, correlation_id: '' })).toMatchObject({ kind: 'malformed', correlationId: null });
  });

  it('accepts the limits themselves', () => {
    const limits = {
      mandate: 'x'.repeat(MANDATE_MAX_CHARS),
      max_ticks: TICKS_MAX,
      correlation_id: 'a'.repeat(128),
    };
    expect(reasonOf(limits)).toBe('envelope');
  });

  it('is refused by its size before it is read', () => {
    const large = Buffer.from(JSON.stringify({ ...SEED, extra: 'x'.repeat(ENVELOPE_MAX_BYTES) }));
    expect(readEnvelope(large)).toMatchObject({
      kind: 'malformed',
      reason: expect.stringContaining('larger'),
    });
    expect(readEnvelope(Buffer.alloc(ENVELOPE_MAX_BYTES, '['))).toMatchObject({ kind: 'malformed' });
  });

  it('is refused when it is not UTF-8', () => {
    const latin = Buffer.from(JSON.stringify({ ...SEED, mandate: 'Zoë' }), 'latin1');
    expect(readEnvelope(latin)).toMatchObject({ kind: 'malformed', reason: 'not JSON in UTF-8' });
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(['envelope', 'newer', 'malformed']).toContain(readEnvelope(Buffer.from(bytes)).kind);
      }),
    );
  });

  it('never throws, whatever the JSON, and what it takes for an envelope can be written again', () => {
    const field = fc.oneof(fc.jsonValue(), anyId, fc.integer({ min: -1, max: 300 }));
    const anyFields = fc.record(
      {
        mandate: field,
        max_ticks: field,
        correlation_id: fc.oneof(anyId, field),
        version: fc.oneof(fc.constant(1), field),
        user_id: field,
        created_at: fc.oneof(field, fc.date().map(String)),
        traceparent: field,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), anyFields), (json) => {
        const reading = read(json);
        if (reading.kind !== 'envelope') return;
        expect(readEnvelope(encodeEnvelope(reading.envelope))).toEqual(reading);
      }),
      { numRuns: 500 },
    );
  });
});

describe('an id', () => {
  it('is made of 1 to 128 letters, digits and a few signs', () => {
    fc.assert(fc.property(anyId, (id) => isTaskId(id)));
    const wrong = ['', '-a', '.', 'a b', 'a/b', 'a\n', 'ä', 'a'.repeat(129)];
    expect(wrong.filter((id) => isTaskId(id))).toEqual([]);
  });
});
