import { randomUUID } from 'node:crypto';
import { type Server, STATUS_CODES } from 'node:http';
import { type Socket } from 'node:net';
import { EuglenaError } from '../domain/errors.js';
import { PROBLEM_TYPE, problemDocument } from '../gateway/problem-documents.js';
import { timesSent } from '../gateway/raw-headers.js';

/** What Node's HTTP parser reports, in HTTP's words. Anything else is 400. */
const PARSER_ERRORS: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'The header is larger than this server takes.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time.'],
};

/** Answers bytes that are no HTTP request: there is no request object then, only the socket. The connection ends. */
export function answerUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, detail] = PARSER_ERRORS[error.code ?? ''] ?? [400, 'This is not an HTTP/1.1 request.'];
  const id = randomUUID();
  const body = JSON.stringify(problemDocument(new EuglenaError('malformed_request', detail), id, status));
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      'Connection: close',
      'Cache-Control: no-store',
      'X-Content-Type-Options: nosniff',
      `X-Request-Id: ${id}`,
      `Content-Type: ${PROBLEM_TYPE}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  );
}

/** An expectation that we do not know is ignored (RFC 9110, 10.1.1 allows it); Node would answer 417 without a body. */
export function ignoreUnknownExpectations(server: Server): void {
  server.on('checkExpectation', (request, response) => void server.emit('request', request, response));
}

/** RFC 9112, 3.2: a request names exactly one host. Node lets two pass, and answers none without a body. */
export function namesOneHost(request: {
  readonly httpVersion: string;
  readonly rawHeaders: string[];
}): boolean {
  if (request.httpVersion === '1.0') return true;
  return timesSent('host', request.rawHeaders) === 1;
}
