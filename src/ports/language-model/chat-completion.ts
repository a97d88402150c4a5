import { ACTION_NAMES } from '../../domain/action.js';
import { type OutputSchema } from '../../domain/output-schema.js';
import { type Situation } from '../../domain/situation.js';
import { type ReplyOutcome } from './language-model.port.js';

/** How strictly the endpoint is asked for JSON, strictest first. Not every compatible endpoint knows every way. */
export const REPLY_FORMATS = ['json_schema', 'json_object', 'none'] as const;
export type ReplyFormat = (typeof REPLY_FORMATS)[number];

/** The `response_format` of a request; the last tick allows EXIT only. */
export function responseFormat(format: ReplyFormat, { mustExit, outputSchema }: Situation) {
  if (format === 'none') return {};
  if (format === 'json_object') return { response_format: { type: 'json_object' as const } };
  const schema = {
    type: 'object',
    properties: {
      thought: { type: 'string' },
      action: { type: 'string', enum: mustExit ? ['EXIT'] : [...ACTION_NAMES] },
      argument: { type: 'string' },
    },
    required: ['thought', 'action', 'argument'],
    additionalProperties: false,
  };
  if (outputSchema !== null)
    return { response_format: jsonSchema(withData(schema, outputSchema, mustExit), false) };
  return { response_format: jsonSchema(schema, true) };
}

function jsonSchema(schema: Record<string, unknown>, strict: boolean) {
  return { type: 'json_schema' as const, json_schema: { name: 'action', strict, schema } };
}

/**
 * The schema of a reply with a user's data in it. It is not strict: the strict mode of OpenAI knows a part of JSON Schema only. The
 * data's own schema stands in it where it refers to no part of itself, which would be somewhere else there.
 */
function withData(
  schema: { properties: object; required: readonly string[] },
  outputSchema: OutputSchema,
  mustExit: boolean,
) {
  const { $schema: _, ...rest } = outputSchema;
  const data = JSON.stringify(rest).includes('"$ref"') ? { type: 'object' } : rest;
  const required = mustExit ? [...schema.required, 'data'] : schema.required;
  return { ...schema, properties: { ...schema.properties, data }, required };
}

export interface Completion {
  readonly outcome: Exclude<ReplyOutcome, 'too_long'>;
  readonly text: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

const TOKENS_MAX = 100_000_000;

/**
 * Reads a chat completion as it came over the wire; null when it is none. There is a text only where the model said all that
 * it wanted to: a reply that was cut at its length limit must not be acted on.
 */
export function readCompletion(answer: unknown): Completion | null {
  if (!isObject(answer) || !Array.isArray(answer.choices)) return null;
  const choice: unknown = answer.choices[0];
  if (!isObject(choice) || !isObject(choice.message)) return null;
  const usage = isObject(answer.usage) ? answer.usage : {};
  const { content, refusal } = choice.message;
  const outcome = outcomeOf(choice.finish_reason, refusal);
  return {
    outcome,
    text: outcome === 'said' && typeof content === 'string' ? content : '',
    promptTokens: tokens(usage.prompt_tokens),
    completionTokens: tokens(usage.completion_tokens),
  };
}

function outcomeOf(finishReason: unknown, refusal: unknown): Completion['outcome'] {
  if (finishReason === 'content_filter' || finishReason === 'refusal') return 'refused';
  if (typeof refusal === 'string' && refusal.trim() !== '') return 'refused';
  return finishReason === 'length' ? 'cut' : 'said';
}

function tokens(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= TOKENS_MAX
    ? value
    : 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
