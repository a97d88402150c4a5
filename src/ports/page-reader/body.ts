import { type Readable } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { PageFailure } from './page-reader.port.js';

/** The first bytes of a stream, at most the limit; `cut` when there were more. */
export interface Bytes {
  readonly bytes: Buffer;
  readonly cut: boolean;
}

/** Reads up to `limit` bytes, then ends the stream. */
export async function readBounded(stream: Readable, limit: number): Promise<Bytes> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Leaving the loop destroys the stream, which may report that as an error of its own.
  stream.on('error', () => undefined);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > limit) break;
  }
  return { bytes: Buffer.concat(chunks).subarray(0, limit), cut: size > limit };
}

/**
 * Undoes `Content-Encoding`, up to `limit` bytes of output, however much the input would grow to.
 * Input that was cut gives what it holds.
 * @throws PageFailure `failed` for an unknown or broken encoding
 */
export async function decompress(input: Bytes, encoding: string, limit: number): Promise<Bytes> {
  const decoder = decoderFor(encoding.trim().toLowerCase(), input.bytes);
  if (decoder === null) return input;
  try {
    decoder.end(input.bytes);
    const output = await readBounded(decoder, limit);
    return { bytes: output.bytes, cut: output.cut || input.cut };
  } catch {
    throw new PageFailure('failed', 'The page is compressed in a way that cannot be read.');
  }
}

function decoderFor(encoding: string, input: Buffer) {
  // Flushing at the end, instead of demanding it, lets a cut stream give what it holds.
  const zlib = { finishFlush: constants.Z_SYNC_FLUSH };
  switch (encoding) {
    case '':
    case 'identity':
      return null;
    case 'gzip':
    case 'x-gzip':
      return createGunzip(zlib);
    case 'deflate':
      // RFC 9110 means the zlib format, but some servers send raw deflate: told apart by zlib's method number.
      return ((input[0] ?? 0) & 0x0f) === 8 ? createInflate(zlib) : createInflateRaw(zlib);
    case 'br':
      return createBrotliDecompress({ finishFlush: constants.BROTLI_OPERATION_FLUSH });
    default:
      throw new PageFailure('failed', 'The page is compressed in a way that cannot be read.');
  }
}

/**
 * Text from bytes, as the WHATWG Encoding and HTML standards find the encoding: byte order mark, the header's charset,
 * a `<meta charset>` or XML declaration near the start, then UTF-8 if the bytes are valid, else windows-1252. Never throws.
 */
export function decodeText({ bytes, cut }: Bytes, headerCharset: string | null): string {
  const label = byteOrderMark(bytes) ?? headerCharset ?? metaCharset(bytes);
  const declared = label === null ? null : decodeAs(label, bytes);
  if (declared !== null) return declared;
  try {
    // `stream`: half a character at the end is no error.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: cut });
  } catch {
    return new TextDecoder('windows-1252').decode(bytes);
  }
}

/** Null when the label names no encoding. */
function decodeAs(label: string, bytes: Buffer): string | null {
  try {
    return new TextDecoder(label).decode(bytes);
  } catch {
    return null;
  }
}

function byteOrderMark(bytes: Buffer): string | null {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'utf-8';
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  return null;
}

const XML_ENCODING = /^\s*<\?xml[^>]+encoding\s*=\s*["']([\w-]+)/i;

function metaCharset(bytes: Buffer): string | null {
  const start = bytes.subarray(0, 1_024).toString('latin1');
  const declared = /<meta[^>]+charset\s*=\s*["']?\s*([\w-]+)/i.exec(start) ?? XML_ENCODING.exec(start);
  const label = declared?.[1] ?? null;
  // These bytes were just read as ASCII, so they cannot be UTF-16.
  return label !== null && /^utf-?16/i.test(label) ? 'utf-8' : label;
}
