import { ACTION_NAMES } from '../../domain/action.js';

/** How strictly the endpoint is asked for JSON, strictest first. Not every compatible endpoint knows every way. */
export const REPLY_FORMATS = ['json_schema', 'json_object', 'none'] as const;
export type ReplyFormat = (typeof REPLY_FORMATS)[number];

/** The `response_format` of a request; the last tick allows EXIT only. */
export function responseFormat(format: ReplyFormat, mustExit: boolean) {
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
  return {
    response_format: { type: 'json_schema' as const, json_schema: { name: 'action', strict: true, schema } },
  };
}

export interface Completion {
  readonly text: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

const TOKENS_MAX = 100_000_000;

/**
 * Reads a chat completion as it came over the wire; null when it is none. The text is empty when the model refused, said
 * nothing, or was cut at its length limit: a cut reply must not be acted on.
 */
export function readCompletion(answer: unknown): Completion | null {
  if (!isObject(answer) || !Array.isArray(answer.choices)) return null;
  const choice: unknown = answer.choices[0];
  if (!isObject(choice) || !isObject(choice.message)) return null;
  const usage = isObject(answer.usage) ? answer.usage : {};
  const whole = choice.finish_reason !== 'length' && choice.finish_reason !== 'content_filter';
  const { content } = choice.message;
  return {
    text: whole && typeof content === 'string' ? content : '',
    promptTokens: tokens(usage.prompt_tokens),
    completionTokens: tokens(usage.completion_tokens),
  };
}

function tokens(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= TOKENS_MAX
    ? value
    : 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
