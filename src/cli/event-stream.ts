/** One event of a stream. */
export interface StreamEvent {
  readonly type: string;
  readonly data: string;
}

/**
 * Reads Server-Sent Events (WHATWG HTML, 9.2.6) from decoded text that arrives in pieces of any size. An event counts
 * once the empty line behind it has come; what a cut connection leaves unfinished is dropped.
 */
export class EventStreamParser {
  /** The newest `id`, to go on from. */
  lastEventId = '';
  /** How long to wait before connecting again, in ms, if the server said so. */
  retryMs: number | undefined;
  private rest = '';
  private afterReturn = false;
  private type = '';
  private data: string[] = [];
  private id: string | undefined;

  push(text: string): StreamEvent[] {
    if (text === '') return [];
    const piece = this.afterReturn && text.startsWith('\n') ? text.slice(1) : text;
    this.afterReturn = text.endsWith('\r');
    const lines = (this.rest + piece).split(/\r\n|\n|\r/);
    this.rest = lines.pop() ?? '';
    return lines.map((line) => this.line(line)).filter((event) => event !== null);
  }

  private line(line: string): StreamEvent | null {
    if (line === '') return this.dispatch();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.data.push(value);
    else if (field === 'event') this.type = value;
    else if (field === 'id' && !value.includes('\0')) this.id = value;
    else if (field === 'retry' && /^\d{1,9}$/.test(value)) this.retryMs = Number(value);
    return null;
  }

  private dispatch(): StreamEvent | null {
    if (this.id !== undefined) this.lastEventId = this.id;
    const event = { type: this.type === '' ? 'message' : this.type, data: this.data.join('\n') };
    const empty = this.data.length === 0;
    this.type = '';
    this.data = [];
    this.id = undefined;
    return empty ? null : event;
  }
}
