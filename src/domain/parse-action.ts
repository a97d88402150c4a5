import { ACTION_NAMES, type Action, type ActionName } from './action.js';
import { actionName, isList, readFields, unwrap } from './action-fields.js';
import { type Json, plainJson, readJson } from './read-json.js';

export type ParsedAction =
  /** `extraActions`: further well-formed actions in the reply. They are not run: one action a tick. */
  | { readonly kind: 'action'; readonly action: Action; readonly extraActions: number }
  /** `reason` is for the reminder to the model: it holds none of the model's own words. */
  | { readonly kind: 'unparseable'; readonly reason: string };

/**
 * Finds the action in a model's reply. Total: whatever the text, it gives the first well-formed action or `unparseable`, never a throw,
 * in time linear in its length.
 *
 * Three ways to say an action are read: a JSON object (`{"thought","action","argument"}` and the obvious spellings, alone,
 * in an array or in a tool call), a line that begins with `ACTION: NAME argument`, and `NAME("argument")` on a line of its
 * own. What the reply quotes is not searched: reasoning and page tags, block quotes, fences of another language than JSON.
 * Nothing is repaired that could change an argument.
 */
export function parseAction(text: string): ParsedAction {
  const search = new ReplySearch(text);
  search.run();
  return search.first === null
    ? { kind: 'unparseable', reason: search.reason }
    : { kind: 'action', action: search.first, extraActions: search.count - 1 };
}

const NAMES = ACTION_NAMES.join('|');
// Without the u flag, "i" folds ASCII letters only: look-alike letters are no action names.
const ACTION_LINE = new RegExp(`ACTION:[ \\t]*(${NAMES})[ \\t]+(?=\\S)`, 'iy');
const CALL = new RegExp(`(${NAMES})\\([ \\t]*(?=")`, 'iy');
const CALL_END = /[ \t]*\)[ \t]*;?[ \t]*\r?(?=\n|$)/y;
/** Where the text of an EXIT line ends: another entry, or a JSON object. */
const NEXT_ENTRY = /\n(?=[ \t]*(?:(?:ACTION|THOUGHT|OBSERVATION)[ \t]*:|[{[]\s*["{]))/gi;
/** An opening bracket that was meant as JSON, however broken. */
const MEANT_AS_JSON = /\{\s*(?:["'`\u2018-\u201f]|[A-Za-z_$][\w$-]*\s*:)|\[\s*\{/y;
const TAG = /<(\/?)([a-z_]{3,16})(?=[\s/>])[^<>]*>/iy;
const QUOTING_TAGS = new Set(
  'think thinking thought thoughts reasoning reflection scratchpad analysis page document observation quote blockquote untrusted'.split(
    ' ',
  ),
);
const FENCE = /(`{3,}|~{3,})[ \t]*([\w+#.-]*)/y;
const READ_FENCES = new Set(['', 'json', 'jsonc', 'json5', 'action']);
/** Chat template tokens of the common model families; in a prompt they could pose as another speaker. */
const CONTROL_TOKEN =
  /<[|\uff5c][^<>|\uff5c]{1,64}[|\uff5c]>|<\/?s>|<(?:start|end)_of_turn>|\[\/?INST\]|<<\/?SYS>>/gi;
const TOKEN_AT_END = new RegExp(`(?:${CONTROL_TOKEN.source})\\s*$`, 'i');
const LONGEST_TOKEN = 68;

class ReplySearch {
  first: Action | null = null;
  count = 0;
  reason = 'there is no action in the reply';
  private pos = 0;
  /** Broken JSON was met: what follows may be the inside of its texts, so that lines and calls are not read any more. */
  private damaged = false;
  /** The broken JSON has no end: only an object at the very start of a line is surely outside. */
  private unclosed = false;
  private closers: Int32Array | null = null;

  constructor(private readonly text: string) {
    while (/\s/.test(text.charAt(this.pos))) this.pos += 1;
  }

  run(): void {
    let lineStart = true;
    while (this.pos < this.text.length) {
      const at = this.pos;
      if (!(lineStart && this.line())) this.character(lineStart);
      lineStart = this.text.charCodeAt(this.pos - 1) === 0x0a && this.pos > at;
    }
  }

  private character(lineStart: boolean): void {
    switch (this.text.charCodeAt(this.pos)) {
      case 0x7b: // {
      case 0x5b: // [
        return this.json(lineStart);
      case 0x3c: // <
        return this.tag();
      case 0x60: // `
        return this.fence();
      default:
        this.pos += 1;
    }
  }

  /** What only counts at the start of a line. True when it took the line, or a part of it. */
  private line(): boolean {
    let at = this.pos;
    while (this.text[at] === ' ' || this.text[at] === '\t') at += 1;
    const letter = this.text[at];
    if (letter === '>') {
      this.pos = this.lineEnd(at);
      return true;
    }
    if (letter === '~') {
      this.pos = at;
      this.fence();
      return true;
    }
    if (this.damaged || letter === undefined || !/[a-z]/i.test(letter)) return false;
    return this.actionLine() || this.call(at);
  }

  private actionLine(): boolean {
    const match = matchAt(ACTION_LINE, this.text, this.pos);
    if (match === null) return false;
    const name = actionName(match[1] ?? '');
    const start = this.pos + match[0].length;
    let end = this.lineEnd(start);
    if (name === 'EXIT') {
      NEXT_ENTRY.lastIndex = end;
      end = NEXT_ENTRY.exec(this.text)?.index ?? this.text.length;
    }
    this.pos = end;
    if (name !== null) this.take(name, withoutTokensAtEnd(this.text.slice(start, end)), '');
    return true;
  }

  private call(at: number): boolean {
    const match = matchAt(CALL, this.text, at);
    if (match === null) return false;
    const { value, end } = readJson(this.text, at + match[0].length);
    this.pos = end;
    const rest = matchAt(CALL_END, this.text, end);
    const name = actionName(match[1] ?? '');
    if (typeof value === 'string' && rest !== null && name !== null) {
      this.pos = end + rest[0].length;
      this.take(name, value, '');
    } else {
      this.damaged = true;
    }
    return true;
  }

  private json(lineStart: boolean): void {
    const start = this.pos;
    const next = this.text.charCodeAt(start + 1);
    if (this.text[start] === '{' && (next === 0x7b || next === 0x7d)) {
      // "{{" of a template and "{}": no object with an action starts here.
      this.pos += next === 0x7b ? 1 : 2;
      return;
    }
    const { value, end } = readJson(this.text, start);
    this.pos = end;
    if (value !== undefined) {
      if (lineStart || !this.unclosed) this.consider(value, 0);
    } else if (matchAt(MEANT_AS_JSON, this.text, start) !== null) {
      this.reason = 'the JSON in the reply is broken or cut';
      this.stepOverDamage(start, end);
    }
  }

  /** An object inside a broken one is not an action: goes on behind the closing bracket, or, without one, on a new line. */
  private stepOverDamage(start: number, end: number): void {
    this.damaged = true;
    this.closers ??= closingBrackets(this.text);
    const close = this.closers[start] ?? 0;
    if (close >= end) {
      this.pos = close + 1;
    } else {
      this.unclosed = true;
      this.pos = this.text[end - 1] === '\n' ? end : Math.min(this.lineEnd(end) + 1, this.text.length);
    }
  }

  private tag(): void {
    const match = matchAt(TAG, this.text, this.pos);
    const name = (match?.[2] ?? '').toLowerCase();
    if (match === null || !QUOTING_TAGS.has(name)) {
      this.pos += 1;
      return;
    }
    this.pos += match[0].length;
    if (match[1] === '/') {
      // An end without a beginning: all before it was inside.
      this.first = null;
      this.count = 0;
    } else if (!match[0].endsWith('/>')) {
      this.skipPast(new RegExp(`</${name}(?=[\\s/>])[^<>]*>`, 'gi'));
    }
  }

  private fence(): void {
    const match = matchAt(FENCE, this.text, this.pos);
    if (match === null) {
      this.pos += 1;
      return;
    }
    const marker = match[1] ?? '';
    this.pos += match[0].length;
    if (READ_FENCES.has((match[2] ?? '').toLowerCase())) return;
    const lineEnd = this.lineEnd(this.pos);
    const sameLine = this.text.slice(this.pos, lineEnd).indexOf(marker);
    const length = Math.min(marker.length, 64);
    if (sameLine >= 0) this.pos += sameLine + marker.length;
    else this.skipPast(new RegExp(`\\n[ \\t]*${marker.charAt(0)}{${length},}[ \\t]*(?=\\r?\\n|$)`, 'g'));
  }

  private skipPast(end: RegExp): void {
    end.lastIndex = this.pos;
    this.pos = end.test(this.text) ? end.lastIndex : this.text.length;
  }

  private lineEnd(from: number): number {
    const end = this.text.indexOf('\n', from);
    return end < 0 ? this.text.length : end;
  }

  private consider(value: Json, depth: number): void {
    if (isList(value)) {
      if (depth < 3) value.forEach((item) => this.consider(item, depth + 1));
      return;
    }
    if (value === null || typeof value !== 'object') return;
    const wrapped = unwrap(value);
    if (wrapped !== null) {
      if (depth < 3) this.consider(wrapped, depth + 1);
      return;
    }
    const { name, argument, thought, data } = readFields(value);
    if (name !== null) this.take(name, argument ?? '', thought, data);
    else if (value.has('action')) this.reason = `the action is none of ${ACTION_NAMES.join(', ')}`;
  }

  private take(name: ActionName, given: string, thought: string, data?: Json): void {
    const wellFormed = given.replace(/\p{Surrogate}/gu, '\ufffd');
    const argument = name === 'THINK' ? withoutControlTokens(wellFormed) : wellFormed.trim();
    if (argument === '') {
      this.reason = `${name} came without a usable argument`;
    } else if (name === 'VISIT' && /[\s\p{Cc}<>]/u.test(argument)) {
      this.reason = 'VISIT takes one plain address and nothing else';
    } else {
      this.count += 1;
      const spoken = { name, argument, thought: withoutControlTokens(thought) };
      this.first ??= name === 'EXIT' && data !== undefined ? { ...spoken, data: plainJson(data) } : spoken;
    }
  }
}

function matchAt(sticky: RegExp, text: string, at: number): RegExpExecArray | null {
  sticky.lastIndex = at;
  return sticky.exec(text);
}

function withoutControlTokens(text: string): string {
  const stripped = text.replace(CONTROL_TOKEN, ' ');
  // Pieces that stripping left side by side must not make a new token.
  return stripped.replace(/<(?=[|\uff5c])|[|\uff5c](?=>)/g, '$& ').trim();
}

function withoutTokensAtEnd(line: string): string {
  for (let rest = line.trimEnd(); ;) {
    const token = TOKEN_AT_END.exec(rest.slice(-LONGEST_TOKEN));
    if (token === null) return rest;
    rest = rest.slice(0, -token[0].length).trimEnd();
  }
}

/** For each opening bracket the position of the one that closes it (0: none), counted without regard to quotes. */
function closingBrackets(text: string): Int32Array {
  const closers = new Int32Array(text.length);
  const braces: number[] = [];
  const squares: number[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === 0x7b) braces.push(at);
    else if (unit === 0x5b) squares.push(at);
    else if (unit === 0x7d || unit === 0x5d) {
      const open = (unit === 0x7d ? braces : squares).pop();
      if (open !== undefined) closers[open] = at;
    }
  }
  return closers;
}
