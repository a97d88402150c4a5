import { createRequire } from 'node:module';
import { createContext, Script } from 'node:vm';
import { dereference, type OutputUnit, type Schema, type SchemaDraft, validate } from '@cfworker/json-schema';
import { type Ajv } from 'ajv';
import { type OutputSchema, schemaBoundsProblem } from '../domain/output-schema.js';

/** Longer than any honest schema takes; a pattern without end is stopped by it. */
const TIME_MS = 200;
const PROBLEM_MAX_CHARS = 500;
const DIALECTS: Readonly<Record<string, SchemaDraft>> = {
  'https://json-schema.org/draft/2020-12/schema': '2020-12',
  'https://json-schema.org/draft/2019-09/schema': '2019-09',
  'http://json-schema.org/draft-07/schema': '7',
};
const UNKNOWN_KEYWORDS = ['$dynamicRef', '$dynamicAnchor', '$recursiveRef', '$recursiveAnchor'] as const;

/**
 * What is wrong with a schema that a user gave, for that user; null when nothing is. It must be a JSON Schema of draft 2020-12 (or
 * of 2019-09 or 7, if `$schema` says so) that describes an object and refers to nothing outside of itself.
 */
export function schemaProblem(given: unknown): string | null {
  const bounds = schemaBoundsProblem(given);
  if (bounds !== null) return bounds;
  const schema = given as OutputSchema;
  const draft = draftOf(schema);
  if (draft === null) return '"$schema" must be draft 2020-12, 2019-09 or 7';
  try {
    const checker = checkerOf(draft);
    return inTime(() => formProblem(schema, checker) ?? partsProblem(schema));
  } catch (error) {
    return brief(`cannot be used: ${messageOf(error)}`);
  }
}

/** Why `data` does not follow the schema; null when it does. Total: also a schema that nobody checked gives a reason. */
export function dataProblem(schema: OutputSchema, data: unknown): string | null {
  if (data === undefined) return 'there is no data';
  try {
    const result = inTime(() => validate(data, copyOf(schema), draftOf(schema) ?? '2020-12'));
    return result.valid ? null : brief(reasonOf(result.errors));
  } catch (error) {
    return brief(`the schema cannot be applied: ${messageOf(error)}`);
  }
}

function draftOf({ $schema }: OutputSchema): SchemaDraft | null {
  if ($schema === undefined) return '2020-12';
  return typeof $schema === 'string' ? (DIALECTS[$schema.replace(/#$/, '')] ?? null) : null;
}

const load = createRequire(import.meta.url);
const MODULES: Readonly<Record<SchemaDraft, string>> = {
  '4': 'ajv',
  '7': 'ajv',
  '2019-09': 'ajv/dist/2019.js',
  '2020-12': 'ajv/dist/2020.js',
};
const checkers: Partial<Record<SchemaDraft, Ajv>> = {};

/** Checks schemas against the draft's own schema, loaded and compiled at its first use. No other schema is compiled. */
function checkerOf(draft: SchemaDraft): Ajv {
  const known = checkers[draft];
  if (known !== undefined) return known;
  const { default: Checker } = load(MODULES[draft]) as { default: typeof Ajv };
  const checker = new Checker({ strict: false, validateFormats: false, logger: false });
  void checker.validateSchema({});
  checkers[draft] = checker;
  return checker;
}

function formProblem(schema: OutputSchema, ajv: Ajv): string | null {
  if (ajv.validateSchema(schema) === true) return null;
  const [first] = ajv.errors ?? [];
  return brief(`is no JSON Schema: ${first?.instancePath || 'its root'} ${first?.message ?? ''}`);
}

/** Checks what the draft's own schema cannot: references and patterns. */
function partsProblem(schema: OutputSchema): string | null {
  const parts = dereference(copyOf(schema));
  for (const part of Object.values(parts)) {
    if (typeof part !== 'object') continue;
    const unknown = UNKNOWN_KEYWORDS.find((keyword) => part[keyword] !== undefined);
    if (unknown !== undefined) return `must not use ${unknown}`;
    const { $ref, pattern, patternProperties = {}, __absolute_ref__: target = '' } = part;
    if ($ref !== undefined && (!$ref.startsWith('#') || parts[target] === undefined)) {
      return brief(`must not refer to ${JSON.stringify($ref)}: only its own parts can be referred to`);
    }
    for (const text of [...(pattern === undefined ? [] : [pattern]), ...Object.keys(patternProperties)]) {
      new RegExp(text, 'u');
    }
  }
  return null;
}

/** The validator marks the schemas that it meets. */
function copyOf(schema: OutputSchema): Schema {
  return structuredClone(schema);
}

/** The deepest reason says most; those before it only say that something below is wrong. */
function reasonOf(errors: readonly OutputUnit[]): string {
  const last = errors.at(-1);
  return last === undefined ? 'it does not follow the schema' : `${last.instanceLocation}: ${last.error}`;
}

const context = createContext({ work: () => undefined as unknown });
const script = new Script('work()');

/** Runs `work` here, and stops it after {@link TIME_MS}, in the middle of a regular expression too. */
function inTime<T>(work: () => T): T {
  context.work = work;
  try {
    return script.runInContext(context, { timeout: TIME_MS }) as T;
  } finally {
    context.work = undefined;
  }
}

function messageOf(error: unknown): string {
  if ((error as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
    return 'it takes too long';
  if (error instanceof RangeError) return 'it never ends';
  return error instanceof Error ? error.message : String(error);
}

function brief(text: string): string {
  return text.slice(0, PROBLEM_MAX_CHARS);
}
