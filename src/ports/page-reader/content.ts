import { decodeText, type Bytes } from './body.js';
import { firstHeading, htmlToText } from './html-text.js';
import { PageFailure } from './page-reader.port.js';
import { type PdfReader } from './pdf-text.js';

/** What a response says that its body is. */
export interface ContentType {
  /** Lower case, without parameters; null when it says nothing. */
  readonly type: string | null;
  readonly charset: string | null;
}

export interface Content {
  readonly title: string;
  readonly text: string;
  readonly truncated: boolean;
}

const HTML = ['text/html', 'application/xhtml+xml'];
const PDF = ['application/pdf', 'application/x-pdf'];
/** What servers call files whose type they do not know. */
const UNKNOWN = ['application/octet-stream', 'binary/octet-stream', 'application/download'];
const PDF_MARK = '%PDF-';

export function contentType(header: string): ContentType {
  const type = /^\s*([\w!#$&^.+-]+\/[\w!#$&^.+-]+)/.exec(header)?.[1]?.toLowerCase().slice(0, 100) ?? null;
  return { type, charset: /;\s*charset\s*=\s*"?([\w:.-]+)/i.exec(header)?.[1] ?? null };
}

/**
 * Whether a body of this type is worth reading; what it is, its bytes say.
 * @throws PageFailure `failed`
 */
export function checkType({ type }: ContentType, url: URL): void {
  if (type === null || isText(type) || mayBePdf(type, url)) return;
  throw new PageFailure('failed', `The page is of type ${type}, which is not text.`);
}

export function mayBePdf(type: string | null, url: URL): boolean {
  return type !== null && (PDF.includes(type) || (UNKNOWN.includes(type) && /\.pdf$/i.test(url.pathname)));
}

function isText(type: string): boolean {
  return type.startsWith('text/') || /^application\/(?:.+\+)?(?:json|xml)$/.test(type);
}

/** Text and title of a body: PDF by its first bytes, whatever the server calls it; else HTML or text by its type. */
export async function readContent(
  body: Bytes,
  { type, charset }: ContentType,
  url: URL,
  pdf: PdfReader,
  signal: AbortSignal,
): Promise<Content> {
  if (body.bytes.subarray(0, 1_024).includes(PDF_MARK)) {
    if (body.cut) throw new PageFailure('failed', 'The PDF document is too large to be read.');
    return pdf.read(body.bytes, signal);
  }
  const source = decodeText(body, charset);
  if ((type !== null && !isText(type)) || source.slice(0, 4_096).includes('\0')) {
    throw new PageFailure('failed', 'The page is binary data, not text.');
  }
  const isHtml = type === null ? /^\s*</.test(source) : HTML.includes(type);
  if (isHtml) {
    const read = htmlToText(source, url.href);
    return { ...read, truncated: read.truncated || body.cut };
  }
  return { title: firstHeading(source), text: source, truncated: body.cut };
}
