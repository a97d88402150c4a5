import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
} from '@opentelemetry/api';

export { type Context as TraceContext, SpanKind } from '@opentelemetry/api';

/** W3C Trace Context, level 1: `<version>-<trace id>-<parent id>-<flags>`. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** Without an exporter every span is a no-op that hands on the trace that it was started in. */
const tracer = () => trace.getTracer('euglena');

/** The trace that a `traceparent` names; a new one when there is none that can be read. */
export function traceOf(traceparent: string | null | undefined): Context {
  const [, traceId = '', spanId = '', flags = '0'] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (traceId === '') return ROOT_CONTEXT;
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

/** How work elsewhere goes on with the trace of `span`. */
export function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-0${traceFlags & TraceFlags.SAMPLED}`;
}

export function startSpan(name: string, parent: Context, kind: SpanKind, attributes: Attributes = {}): Span {
  return tracer().startSpan(name, { kind, attributes }, parent);
}

/** Runs `work` as one span of the trace; a failure marks it with the error's kind, never with its words. */
export async function inSpan<T>(
  name: string,
  parent: Context,
  attributes: Attributes,
  work: (context: Context) => Promise<T>,
  kind = SpanKind.INTERNAL,
): Promise<T> {
  const span = startSpan(name, parent, kind, attributes);
  try {
    return await work(trace.setSpan(parent, span));
  } catch (error) {
    const message = error instanceof Error ? error.name : 'unknown';
    span.setStatus({ code: SpanStatusCode.ERROR, message });
    throw error;
  } finally {
    span.end();
  }
}
