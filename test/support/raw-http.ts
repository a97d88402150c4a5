import { connect } from 'node:net';

/** What came back on the socket. `status` null: the connection was closed without an answer. */
export interface RawAnswer {
  readonly status: number | null;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** How many answers came on this connection. */
  readonly count: number;
  readonly ms: number;
}

/** Sends bytes as they are and reads until the server closes the connection. */
export function sendRaw(port: number, request: Buffer, halfClose = false): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const started = performance.now();
    const chunks: Buffer[] = [];
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('connect', () => {
      socket.write(request);
      if (halfClose) socket.end();
    });
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => socket.destroy());
    // A server that refuses a large body closes while we still send: its answer counts, not our failed write.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      resolve({ ...parse(Buffer.concat(chunks).toString('utf8')), ms: performance.now() - started });
    });
  });
}

function parse(text: string): Omit<RawAnswer, 'ms'> {
  const end = text.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = text.slice(0, end < 0 ? 0 : end).split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1];
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  const rest = end < 0 ? '' : text.slice(end + 4);
  const body = headers.get('transfer-encoding') === 'chunked' ? unchunk(rest) : rest;
  const count = text.split(/(?:^|\n)HTTP\/1\.1 \d{3}/).length - 1;
  return { status: status === undefined ? null : Number(status), headers, body, count };
}

function unchunk(text: string): string {
  const bytes = Buffer.from(text);
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString(), 16);
    if (lineEnd < 0 || !(size > 0)) return Buffer.concat(parts).toString('utf8');
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}
