import { trace } from '@opentelemetry/api';

/** Sends spans to an OTLP collector until it is stopped. */
export interface SpanExport {
  /** Sends what is left, for at most a few seconds. */
  stop(): Promise<void>;
}

const STOP_TIMEOUT_MS = 3_000;

/**
 * Exports the spans of this process over OTLP/HTTP to `<endpoint>/v1/traces`, in batches and in the background: a collector
 * that is away costs spans, never work. Loaded only when asked for.
 */
export async function exportSpans(endpoint: string, role: string): Promise<SpanExport> {
  const [{ OTLPTraceExporter }, { BasicTracerProvider, BatchSpanProcessor }, { resourceFromAttributes }] =
    await Promise.all([
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/sdk-trace-base'),
      import('@opentelemetry/resources'),
    ]);
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces` });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': `euglena-${role}`, 'service.namespace': 'euglena' }),
    spanProcessors: [new BatchSpanProcessor(exporter, { scheduledDelayMillis: 1_000 })],
  });
  trace.setGlobalTracerProvider(provider);
  return {
    stop: async () => {
      trace.disable();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, STOP_TIMEOUT_MS)));
      await Promise.race([provider.shutdown().catch(() => undefined), late]);
      clearTimeout(timer);
    },
  };
}
