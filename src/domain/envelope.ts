import { CALLBACK_URL_MAX_CHARS } from './callback.js';
import { isoTime } from './clock.js';
import { type OutputSchema, schemaBoundsProblem } from './output-schema.js';

/** The message on `agent.mandates`. The first three fields are the seed's; a foreign publisher needs no more. */
export interface TaskEnvelope {
  readonly mandate: string;
  readonly maxTicks: number;
  readonly correlationId: string;
  /** Version of the envelope's meaning. A reader returns versions above its own to the queue, for a newer worker. */
  readonly version: number;
  /** Present when a gateway wrote the envelope: enough to rebuild a lost record. */
  readonly owner: string | null;
  /** Epoch milliseconds; null from publishers that do not say. */
  readonly createdAt: number | null;
  /** W3C trace context of the submission, if traced. */
  readonly traceparent: string | null;
  /** Where the end is to be told, if anywhere. */
  readonly callbackUrl: string | null;
  /** What the result's data is to follow, if any is wanted. */
  readonly outputSchema: OutputSchema | null;
}

export const ENVELOPE_VERSION = 1;
export const ENVELOPE_MAX_BYTES = 1_048_576;
export const MANDATE_MAX_CHARS = 50_000;
export const TICKS_MAX = 200;
const DEFAULT_TICKS = 50;
/** Fails on what is not UTF-8. */
const UTF8 = new TextDecoder('utf-8', { fatal: true });
const ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** Whether a task can have this id: 1 to 128 letters, digits, ".", "_", ":" or "-", the first a letter or digit. */
export function isTaskId(value: string): boolean {
  return ID.test(value);
}

export type EnvelopeReading =
  | { readonly kind: 'envelope'; readonly envelope: TaskEnvelope }
  | { readonly kind: 'newer'; readonly version: number }
  | { readonly kind: 'malformed'; readonly reason: string; readonly correlationId: string | null };

export function encodeEnvelope(envelope: TaskEnvelope): Buffer {
  return Buffer.from(envelopeToJson(envelope));
}

/** The same as a text. */
export function envelopeToJson(envelope: TaskEnvelope): string {
  return JSON.stringify({
    mandate: envelope.mandate,
    max_ticks: envelope.maxTicks,
    correlation_id: envelope.correlationId,
    version: envelope.version,
    user_id: envelope.owner ?? undefined,
    created_at: envelope.createdAt === null ? undefined : isoTime(envelope.createdAt),
    traceparent: envelope.traceparent ?? undefined,
    callback_url: envelope.callbackUrl ?? undefined,
    output_schema: envelope.outputSchema ?? undefined,
  });
}

/** Reads a queued message. Total: whatever the bytes, they give an envelope, `newer`, or `malformed` with a reason for a person. */
export function readEnvelope(body: Buffer): EnvelopeReading {
  if (body.byteLength > ENVELOPE_MAX_BYTES) return malformed(`larger than ${ENVELOPE_MAX_BYTES} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(UTF8.decode(body));
  } catch {
    return malformed('not JSON in UTF-8');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return malformed('not a JSON object');
  return readFields(json as Record<string, unknown>);
}

function readFields(json: Record<string, unknown>): EnvelopeReading {
  const {
    mandate,
    max_ticks: maxTicks = DEFAULT_TICKS,
    correlation_id: correlationId,
    version = ENVELOPE_VERSION,
  } = json;
  if (typeof correlationId !== 'string' || !isTaskId(correlationId)) {
    return malformed('correlation_id must be 1 to 128 letters, digits, ".", "_", ":" or "-"');
  }
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1) {
    return malformed('version must be a positive integer', correlationId);
  }
  if (version > ENVELOPE_VERSION) return { kind: 'newer', version };
  if (typeof mandate !== 'string' || mandate.trim() === '' || mandate.length > MANDATE_MAX_CHARS) {
    return malformed(`mandate must be a text of 1 to ${MANDATE_MAX_CHARS} characters`, correlationId);
  }
  if (
    typeof maxTicks !== 'number' ||
    !Number.isSafeInteger(maxTicks) ||
    maxTicks < 1 ||
    maxTicks > TICKS_MAX
  ) {
    return malformed(`max_ticks must be an integer from 1 to ${TICKS_MAX}`, correlationId);
  }
  const { output_schema: outputSchema = null } = json;
  const problem = outputSchema === null ? null : schemaBoundsProblem(outputSchema);
  if (problem !== null) return malformed(`output_schema ${problem}`, correlationId);
  const createdAt = typeof json.created_at === 'string' ? Date.parse(json.created_at) : NaN;
  return {
    kind: 'envelope',
    envelope: {
      mandate,
      maxTicks,
      correlationId,
      version,
      owner: typeof json.user_id === 'string' ? json.user_id : null,
      createdAt: Number.isNaN(createdAt) ? null : createdAt,
      traceparent:
        typeof json.traceparent === 'string' && json.traceparent.length <= 128 ? json.traceparent : null,
      callbackUrl:
        typeof json.callback_url === 'string' && json.callback_url.length <= CALLBACK_URL_MAX_CHARS
          ? json.callback_url
          : null,
      outputSchema: outputSchema as OutputSchema | null,
    },
  };
}

function malformed(reason: string, correlationId: string | null = null): EnvelopeReading {
  return { kind: 'malformed', reason, correlationId };
}
