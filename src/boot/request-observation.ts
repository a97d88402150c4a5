import { type Span, SpanStatusCode } from '@opentelemetry/api';
import { type FastifyInstance, type FastifyRequest } from 'fastify';
import { httpRequests, httpSeconds } from '../observability/measures.js';
import { SpanKind, startSpan, traceOf, traceparentOf } from '../observability/spans.js';

/** The route's pattern, never the path: labels and names must not grow with what clients send. */
const routeOf = (request: FastifyRequest): string => request.routeOptions.url ?? 'unknown';

/** Counts and times every answer. */
export function measureRequests(http: FastifyInstance): void {
  http.addHook('onResponse', (request, reply, done) => {
    const route = routeOf(request);
    httpRequests.inc({ method: request.method, route, status: reply.statusCode });
    if (!route.endsWith('/events')) httpSeconds.observe({ route }, reply.elapsedTime / 1_000);
    done();
  });
}

/** Makes every request a span, under the trace that its caller names. What the request causes belongs to that span. */
export function traceRequests(http: FastifyInstance): void {
  const spans = new WeakMap<FastifyRequest, Span>();
  http.addHook('onRequest', (request, _reply, done) => {
    const given = request.headers['traceparent'];
    const parent = traceOf(typeof given === 'string' ? given : null);
    const route = routeOf(request);
    const span = startSpan(`${request.method} ${route}`, parent, SpanKind.SERVER, {
      'http.request.method': request.method,
      'http.route': route,
      'euglena.request_id': request.id,
    });
    spans.set(request, span);
    request.headers['traceparent'] = traceparentOf(span);
    done();
  });
  http.addHook('onResponse', (request, reply, done) => {
    const span = spans.get(request);
    span?.setAttribute('http.response.status_code', reply.statusCode);
    if (reply.statusCode >= 500) span?.setStatus({ code: SpanStatusCode.ERROR });
    span?.end();
    done();
  });
}
