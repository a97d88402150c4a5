import { REPLY_FORMATS, type ReplyFormat } from './chat-completion.js';

/** Under which name the endpoint takes the limit of a reply, usual one first. `none`: it takes no limit. */
const CAP_NAMES = ['max_tokens', 'max_completion_tokens', 'none'] as const;

/** What an endpoint understands of a request. All that is known at first is what most endpoints understand. */
export interface Dialect {
  readonly format: ReplyFormat;
  readonly cap: (typeof CAP_NAMES)[number];
  /** Whether a temperature may be named. */
  readonly temperature: boolean;
}

export const USUAL_DIALECT: Dialect = { format: 'json_schema', cap: 'max_tokens', temperature: true };

const ABOUT_FORMAT = /response_format|json_schema|json_object|structured output/i;
const ABOUT_CAP = /max_(?:completion_)?tokens/i;
const TOO_LONG = [
  /context[_ ](?:length|window|size|limit)/i,
  /exceed_context_size/i,
  /(?:prompt|input|request) is too (?:long|large)/i,
  /maximum (?:prompt|context|input) length/i,
  /reduce the length of the (?:messages|prompt|input)/i,
  /token count.{0,40}exceeds|(?:exceeds|exceeded).{0,40}token (?:limit|count)|too many (?:input )?tokens/i,
  /inputs?\W{1,3}tokens.{0,40}must be <=?/i,
];

/** Whether an endpoint's complaint says that the request does not fit the model's context. */
export function saysTooLong(complaint: string): boolean {
  return TOO_LONG.some((pattern) => pattern.test(complaint));
}

/** Whether an endpoint's complaint says that a content filter stopped the request. */
export function saysFiltered(complaint: string): boolean {
  return /content[_ ](?:filter|management policy|policy_violation)|ResponsibleAIPolicyViolation/i.test(
    complaint,
  );
}

/**
 * A simpler way to ask after a refusal; null when the way of asking is not why. Not every endpoint says what it refused, so
 * that the first refusals may be about the format even when they do not name it.
 */
export function simplerDialect(
  { format, cap, temperature }: Dialect,
  status: number,
  complaint: string,
  formatWorks: boolean,
): Dialect | null {
  const refused = status === 400 || status === 422;
  const simplerFormat = REPLY_FORMATS[REPLY_FORMATS.indexOf(format) + 1];
  if (ABOUT_FORMAT.test(complaint) && (refused || status === 404)) {
    return simplerFormat === undefined ? null : { format: simplerFormat, cap, temperature };
  }
  if (!refused) return null;
  const otherCap = CAP_NAMES[CAP_NAMES.indexOf(cap) + 1];
  if (ABOUT_CAP.test(complaint) && otherCap !== undefined) return { format, cap: otherCap, temperature };
  if (/temperature/i.test(complaint) && temperature) return { format, cap, temperature: false };
  if (formatWorks || simplerFormat === undefined) return null;
  return { format: simplerFormat, cap, temperature };
}
