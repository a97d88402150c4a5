import { describe, expect, it } from '@jest/globals';
import { dataProblem, schemaProblem } from './output-schema.js';

const object = (more: object) => ({ type: 'object', ...more });
const CITY = object({
  properties: { name: { type: 'string', minLength: 1 }, people: { type: 'integer', minimum: 0 } },
  required: ['name', 'people'],
  additionalProperties: false,
});
const nested = (levels: number): object =>
  levels === 0 ? {} : object({ properties: { a: nested(levels - 1) } });
const WITHOUT_END = '^(a+)+$';
const LONG = `${'a'.repeat(60)}!`;

describe('a schema', () => {
  it.each([
    ['of draft 2020-12', CITY],
    ['that names its draft', { ...CITY, $schema: 'http://json-schema.org/draft-07/schema#' }],
    ['of 2019-09', { ...CITY, $schema: 'https://json-schema.org/draft/2019-09/schema' }],
    [
      'with parts of its own',
      object({ $defs: { n: { type: 'null' } }, properties: { a: { $ref: '#/$defs/n' } } }),
    ],
    ['that refers to itself', object({ properties: { child: { $ref: '#' } } })],
    ['with a pattern', object({ properties: { a: { type: 'string', pattern: '^\\p{Lu}+$' } } })],
    [
      'with a field called pattern',
      object({ properties: { pattern: { type: 'string' }, $ref: { const: '[' } } }),
    ],
  ])('%s is taken', (_what, schema) => {
    expect(schemaProblem(schema)).toBeNull();
  });

  it.each([
    ['no object', [], 'must be a JSON object'],
    ['a text', 'object', 'must be a JSON object'],
    ['null', null, 'must be a JSON object'],
    ['without a type', { properties: {} }, '"type": "object"'],
    ['of an unknown type', object({ properties: { a: { type: 'strng' } } }), 'is no JSON Schema'],
    ['of a wrong form', object({ required: 'name' }), 'is no JSON Schema'],
    ['of an old draft', { ...CITY, $schema: 'http://json-schema.org/draft-04/schema#' }, '"$schema" must be'],
    ['with a reference to the world', object({ $ref: 'https://example.com/a.json' }), 'must not refer to'],
    [
      'with a reference to nothing',
      object({ properties: { a: { $ref: '#/$defs/none' } } }),
      'must not refer to',
    ],
    ['with a broken pattern', object({ properties: { a: { pattern: '(' } } }), 'cannot be used'],
    ['with a broken pattern of names', object({ patternProperties: { '[': {} } }), 'cannot be used'],
    ['with an id that is no address', object({ $id: 'http://[' }), 'cannot be used'],
    ['with dynamic references', object({ properties: { a: { $dynamicRef: '#a' } } }), 'must not use'],
    ['nested too deep', nested(40), 'nested deeper'],
    ['that is too large', object({ description: 'x'.repeat(20_000) }), 'at most 16384 bytes'],
  ])('%s is refused', (_what, schema, problem) => {
    expect(schemaProblem(schema)).toContain(problem);
  });
});

describe('data', () => {
  it('follows its schema, or says where it does not', () => {
    expect(dataProblem(CITY, { name: 'Basel', people: 175_000 })).toBeNull();
    expect(dataProblem(CITY, { name: 'Basel', people: 0.5 })).toContain('#/people');
    expect(dataProblem(CITY, { name: 'Basel' })).toContain('people');
    expect(dataProblem(CITY, { name: 'Basel', people: 1, more: 1 })).toContain('more');
    expect(dataProblem(CITY, undefined)).toBe('there is no data');
    expect(dataProblem(CITY, null)).toContain('null');
  });

  it('is checked against parts that the schema refers to', () => {
    const tree = object({ properties: { children: { type: 'array', items: { $ref: '#' } } } });
    expect(dataProblem(tree, { children: [{ children: [{}] }] })).toBeNull();
    expect(dataProblem(tree, { children: [{ children: [1] }] })).toContain('#/children/0/children/0');
  });

  it.each([
    ['a pattern', object({ properties: { a: { pattern: WITHOUT_END } } }), { a: LONG }],
    ['a pattern of names', object({ patternProperties: { [WITHOUT_END]: {} } }), { [LONG]: 1 }],
    ['references in a circle', object({ allOf: [{ $ref: '#' }] }), {}],
    [
      'parts that double',
      object({
        $defs: Object.fromEntries(
          Array.from({ length: 40 }, (_, n) => [
            `d${n}`,
            n === 0 ? {} : { allOf: [{ $ref: `#/$defs/d${n - 1}` }, { $ref: `#/$defs/d${n - 1}` }] },
          ]),
        ),
        $ref: '#/$defs/d39',
      }),
      {},
    ],
  ])('is not checked for ever: %s', (_what, schema, data) => {
    const begin = performance.now();
    expect(dataProblem(schema, data)).toContain('the schema cannot be applied');
    expect(performance.now() - begin).toBeLessThan(2_000);
  });

  it('does not change the schema, and a schema that nobody checked gives a reason', () => {
    const frozen = Object.freeze(
      object({ properties: Object.freeze({ a: Object.freeze({ type: 'string' }) }) }),
    );
    expect(dataProblem(frozen, { a: 'b' })).toBeNull();
    expect(dataProblem({ $ref: 'https://example.com' }, {})).toContain('the schema cannot be applied');
  });
});
