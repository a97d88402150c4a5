import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type Server } from 'node:http';
import { type DynamicModule, type LoggerService, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { portsOf } from '../config/adapter-choice.js';
import { type Settings } from '../config/settings.js';
import { EuglenaError } from '../domain/errors.js';
import { asEuglenaError, ProblemFilter, sendProblem } from '../gateway/problem-documents.js';
import { serveApiDocs } from './api-docs.js';
import { readJsonBody } from './json-body.js';
import { measureRequests, traceRequests } from './request-observation.js';
import { answerUnreadable, ignoreUnknownExpectations, namesOneHost } from './request-errors.js';
import { RouteMethods } from './route-methods.js';

/** How long a whole request may take to arrive, in ms. Answers may take any time: event streams do. */
const REQUEST_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** A connection without a byte in either direction ends after this, in ms. Event streams send something every 15 s. */
const IDLE_TIMEOUT_MS = 60_000;
/** What still runs this long after shutdown began is cut off, in ms. */
const CLOSE_GRACE_MS = 5_000;

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const CONTENT_TYPE = /^application\/json(\s*;\s*charset\s*=\s*"?utf-8"?)?\s*;?$/i;

/** Sent with every answer. Pages (Swagger UI, the console) bring a content policy of their own. */
const SECURITY_HEADERS = Object.entries({
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
});

/**
 * The HTTP application of a role: limits, headers, errors and, where the role serves the API, its documentation.
 * It does not listen yet.
 */
export async function createHttpApp(
  root: Type | DynamicModule,
  settings: Settings,
  logger?: LoggerService,
): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter(serverOptions(settings));
  const app = await NestFactory.create<NestFastifyApplication>(root, adapter, {
    bodyParser: false,
    abortOnError: false,
    ...(logger === undefined ? {} : { logger }),
  });
  app.enableCors({
    origin: [...settings.gateway.corsAllowedOrigins],
    methods: ['GET', 'POST'],
    allowedHeaders: [
      'authorization',
      'content-type',
      'idempotency-key',
      'last-event-id',
      'traceparent',
      'x-request-id',
    ],
    exposedHeaders: ['location', 'ratelimit', 'ratelimit-policy', 'retry-after', 'x-request-id'],
    maxAge: 600,
    strictPreflight: false,
  });
  app.useGlobalFilters(new ProblemFilter());
  const http: FastifyInstance = adapter.getInstance();
  if (settings.observability.otlpEndpoint !== null) traceRequests(http);
  measureRequests(http);
  addHooks(http);
  parseJsonOnly(http);
  ignoreUnknownExpectations(http.server);
  if (servesApi(settings)) serveApiDocs(app);
  return app;
}

function servesApi(settings: Settings): boolean {
  return portsOf(settings).includes('quota');
}

function serverOptions(settings: Settings) {
  return {
    bodyLimit: settings.gateway.bodyLimitBytes,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: IDLE_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS, requireHostHeader: false },
    // Ids of any length get the same 404, after authentication; Node bounds the whole header.
    routerOptions: { maxParamLength: 16_384 },
    onProtoPoisoning: 'error' as const,
    forceCloseConnections: 'idle' as const,
    // Until the last request is answered every engine is still there, so it may as well be served.
    return503OnClosing: false,
    requestIdHeader: false as const,
    genReqId: requestId,
    clientErrorHandler: answerUnreadable,
    frameworkErrors: (error: Error, _request: unknown, reply: FastifyReply) => {
      sendProblem(reply, asEuglenaError(error));
    },
  };
}

/** A sane id of the caller's own makes one trace across systems; anything else would end up in the logs. */
function requestId(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

function addHooks(http: FastifyInstance): void {
  const routes = new RouteMethods();
  http.addHook('onRoute', ({ url, method }) => routes.add(url, method));
  http.addHook('onRequest', (request, reply, done) => done(refusal(request, reply, routes)));
  http.addHook('onSend', (request, reply, _payload, done) => {
    setHeaders(request, reply);
    done();
  });
  http.addHook('preClose', (done) => {
    cutOffLater(http.server);
    done();
  });
}

/** Refuses what no handler would take, before the body is read. */
function refusal(
  request: FastifyRequest,
  reply: FastifyReply,
  routes: RouteMethods,
): EuglenaError | undefined {
  if (!namesOneHost(request.raw)) {
    return new EuglenaError('malformed_request', 'A request names exactly one Host.');
  }
  if (!request.is404) return undefined;
  const allowed = routes.allowed(request.url);
  if (allowed.length === 0) return new EuglenaError('not_found', 'There is nothing at this address.');
  void reply.header('allow', allowed.join(', '));
  return new EuglenaError('method_not_allowed', `This address knows ${allowed.join(', ')} only.`);
}

function setHeaders(request: FastifyRequest, reply: FastifyReply): void {
  for (const [name, value] of SECURITY_HEADERS) {
    if (!reply.hasHeader(name)) void reply.header(name, value);
  }
  void reply.header('x-request-id', request.id);
}

/** JSON and nothing else: a body of another type is refused unread. */
function parseJsonOnly(http: FastifyInstance): void {
  http.removeAllContentTypeParsers();
  http.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      if (!CONTENT_TYPE.test(request.headers['content-type'] ?? '')) {
        throw new EuglenaError('unsupported_media_type', 'Send the body as application/json in UTF-8.');
      }
      done(null, readJsonBody(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

/** Closing waits for requests that are being answered, but not for a peer that never reads its answer. */
function cutOffLater(server: Server): void {
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  timer.unref();
  server.once('close', () => clearTimeout(timer));
}
