import { describe, expect, it } from '@jest/globals';
import { type Type } from '@nestjs/common';
import { IsInt, IsOptional, IsString, ValidateIf, ValidateNested, validateSync } from 'class-validator';
import fc from 'fast-check';
import { ClassRules } from './class-rules.js';
import { ExtendTask, FollowTask, ListTasks, SubmitTask } from './task.dto.js';

class Nothing {}
class Nested {
  @ValidateNested()
  inner: unknown;
}
class Each {
  @IsString({ each: true })
  names: unknown;
}
class Conditional {
  @ValidateIf(({ other }: { other?: unknown }) => other === 'yes')
  @IsInt()
  count: unknown;

  @IsOptional()
  @IsString()
  other: unknown;
}

/** What class-validator itself says, as the gateway asks it. */
function validates(object: object): boolean {
  const options = { whitelist: true, forbidNonWhitelisted: true, forbidUnknownValues: true };
  return validateSync(object, options).length === 0;
}

const VALUES = fc.oneof(
  fc.constantFrom(
    undefined,
    null,
    '',
    'yes',
    'completed',
    'https://a.example/b',
    '\ud800',
    true,
    0,
    1,
    200,
    201,
    1.5,
  ),
  fc.constantFrom<unknown>(['a'], ['a', 1], [], {}, { type: 'object' }, { type: 'nonsense' }),
  fc.integer(),
  fc.string(),
  fc.jsonValue(),
);
const FIELDS = fc.constantFrom(
  ...['mandate', 'max_ticks', 'callback_url', 'output_schema', 'ticks', 'after', 'limit', 'status', 'cursor'],
  ...['inner', 'names', 'count', 'other', 'unknown'],
);

describe('the rules of a class', () => {
  it.each<[string, Type<object>]>(
    [SubmitTask, ExtendTask, ListTasks, FollowTask, Conditional].map((type) => [type.name, type]),
  )('are kept by a %s when class-validator finds nothing, and only then', (_name, type) => {
    const bodies = fc.dictionary(FIELDS, VALUES, { maxKeys: 4 });
    const likely = fc.record(
      { mandate: VALUES, max_ticks: VALUES, ticks: VALUES, count: VALUES },
      { requiredKeys: [] },
    );
    const property = fc.property(fc.oneof(bodies, likely), (body) => {
      const object: object = Object.assign(new type(), body);
      expect(ClassRules.of(type).areKeptBy(object)).toBe(validates(object));
    });
    fc.assert(property, { numRuns: 500 });
  });

  it.each<[string, Type<object>, object]>([
    ['a class without rules', Nothing, {}],
    ['rules of values inside', Nested, { inner: new Nothing() }],
    ['rules for each of many', Each, { names: ['a'] }],
  ])('leave %s to class-validator', (_what, type, body) => {
    expect(ClassRules.of(type).areKeptBy(Object.assign(new type(), body))).toBe(false);
  });
});
