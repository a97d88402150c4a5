import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { registry } from '../observability/measures.js';

/** Where Prometheus asks a role: on a port of its own, which a load balancer does not open to the world. */
export async function startMetricsServer(port: number, host: string): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    void registry.metrics().then((text) => {
      response
        .writeHead(200, { 'content-type': registry.contentType, 'cache-control': 'no-store' })
        .end(text);
    });
  });
  server.listen(port, host);
  await once(server, 'listening');
  return server;
}
