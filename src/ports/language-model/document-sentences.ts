import { sentencesIn } from '../../domain/sentences.js';

/** A sentence as it can be quoted, with what the document says around it. */
export interface Sentence {
  readonly text: string;
  /** The heading above it and, in a list, the words that introduce the list. */
  readonly context: string;
  readonly kind: 'prose' | 'item' | 'row';
  /** Number of its paragraph or list within the document. */
  readonly block: number;
}

/**
 * The sentences of a Markdown or plain text, cleaned of its markup. Code, headings, table heads and lists of links are no
 * sentences; a table row is one, its cells joined.
 */
export function sentencesOf(document: string): Sentence[] {
  const reader = new DocumentReader();
  document.split(/\r?\n/).forEach((line, index) => reader.line(line, index));
  reader.flush();
  return reader.sentences;
}

class DocumentReader {
  readonly sentences: Sentence[] = [];
  private heading = '';
  private intro = '';
  private kind: Sentence['kind'] = 'prose';
  private lines: string[] = [];
  private block = 0;
  /** What ends the lines that are passed over: a code fence or the front matter. */
  private skipUntil: string | null = null;

  line(raw: string, index: number): void {
    const line = raw.replace(/^\s*(?:>\s?)+/, '').trim();
    if (this.skipUntil !== null) {
      if (line.startsWith(this.skipUntil)) this.skipUntil = null;
      return;
    }
    const fence = /^(?:```|~~~)/.exec(line)?.[0] ?? (index === 0 && line === '---' ? '---' : null);
    if (fence !== null) {
      this.flush();
      this.skipUntil = fence;
      return;
    }
    const heading = /^#{1,6}\s+(.*?)#*$/.exec(line);
    if (heading !== null) return this.startSection(heading[1] ?? '');
    if (/^(?:=+|-{3,}|\*{3,}|_{3,})$/.test(line)) return this.underline(line);
    if (line.startsWith('|')) return this.row(line);
    this.text(line);
  }

  flush(): void {
    const text = plain(this.lines.join(' '));
    const links = linkShare(this.lines.join(' '));
    this.lines = [];
    if (text === '' || (this.kind === 'item' && links > 0.6)) return;
    const context = this.kind === 'item' ? `${this.heading} ${this.intro}` : this.heading;
    for (const sentence of sentencesIn(text)) {
      this.sentences.push({ text: sentence, context, kind: this.kind, block: this.block });
    }
    if (this.kind === 'prose') this.intro = text.endsWith(':') ? text : '';
  }

  private startSection(heading: string): void {
    this.flush();
    this.heading = plain(heading);
    this.intro = '';
    this.kind = 'prose';
    this.block += 1;
  }

  /** A line of dashes under a single line makes that line a heading; elsewhere it divides. */
  private underline(line: string): void {
    const [only, ...more] = this.lines;
    if (/^[=-]/.test(line) && only !== undefined && more.length === 0 && only.length < 100) {
      this.lines = [];
      this.startSection(only);
    } else {
      this.flush();
    }
  }

  private row(line: string): void {
    if (/^[|\s:-]+$/.test(line)) {
      // The divider: the row before it was the head.
      if (this.kind === 'row') this.lines = [];
      return;
    }
    this.flush();
    this.kind = 'row';
    const cells = line.split('|').map((cell) => cell.trim());
    this.lines = [cells.filter((cell) => cell !== '').join(' — ')];
  }

  private text(line: string): void {
    if (line === '') {
      this.flush();
      if (this.kind !== 'item') this.block += 1;
      this.kind = 'prose';
      return;
    }
    const item = /^(?:[-*+•]|\d{1,3}[.)])\s+(.*)$/.exec(line);
    if (item !== null || this.kind === 'row') this.flush();
    if (item !== null) this.kind = 'item';
    else if (this.kind === 'row') this.kind = 'prose';
    this.lines.push(item === null ? line : (item[1] ?? ''));
  }
}

const LINK = /!?\[([^[\]]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+"[^"]*")?\)/g;

/** A text without the marks of Markdown and HTML. Underscores stay: they are parts of names. */
function plain(markdown: string): string {
  return markdown
    .replace(LINK, (whole, label: string) => (whole.startsWith('!') ? '' : label))
    .replace(/\[([^[\]]+)\]\[[^[\]]*\]/g, '$1')
    .replace(/(`[^`]*`)|<\/?[a-z][^<>]*>/gi, (_, code: string | undefined) => code ?? ' ')
    .replace(/`+|\*\*|__|~~/g, '')
    .replace(/(^|[\s(])\*(?=\S)([^*]+)\*/g, '$1$2')
    .replace(/\\([\\`*_{}[\]()#+.!|>-])/g, '$1')
    .replace(/&nbsp;/g, ' ')
    .replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => ENTITIES[name] ?? ' ')
    .replace(/\s+/g, ' ')
    .trim();
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

/** The part of a text, from 0 to 1, that is links. */
function linkShare(markdown: string): number {
  const links = [...markdown.matchAll(LINK)].reduce((sum, link) => sum + link[0].length, 0);
  return markdown === '' ? 0 : links / markdown.length;
}
