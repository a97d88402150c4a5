import { once } from 'node:events';
import { type Settings } from '../config/settings.js';
import { type SpanExport } from '../observability/otlp-export.js';
import { startMetricsServer } from './metrics-server.js';

/** Starts what the operator asked to see of a role: traces, and figures on a port of their own. Answers how to stop it. */
export async function observe({ observability, host, role }: Settings): Promise<() => Promise<void>> {
  const { otlpEndpoint, metricsPort } = observability;
  const spans = otlpEndpoint === null ? null : await loadExport(otlpEndpoint, role);
  const server = metricsPort === null ? null : await startMetricsServer(metricsPort, host);
  return async () => {
    if (server !== null) {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    }
    await spans?.stop();
  };
}
async function loadExport(endpoint: string, role: string): Promise<SpanExport> {
  // Its libraries are loaded only where they are used.
  const { exportSpans } = await import('../observability/otlp-export.js');
  return exportSpans(endpoint, role);
}
