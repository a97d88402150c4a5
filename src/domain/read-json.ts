/** A JSON value. Objects are maps: they have no name that they did not come with. */
export type Json = string | number | boolean | null | readonly Json[] | ReadonlyMap<string, Json>;

export interface JsonReading {
  /** Undefined when no JSON value starts there. */
  readonly value: Json | undefined;
  /** Behind the value, or where its grammar breaks; always behind `start`. */
  readonly end: number;
}

const MAX_DEPTH = 64;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const HEX4 = /[0-9a-fA-F]{4}/y;
const SCALAR = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/y;

/**
 * Reads the JSON value that starts at `start`, whatever follows it. It differs from `JSON.parse` where that is safer or
 * kinder: an object that names a key twice is refused, a line break inside a text and a comma before a closing bracket
 * are taken, nesting ends at 64. Never throws; takes time linear in `end - start`.
 */
export function readJson(text: string, start: number): JsonReading {
  const reader = new Reader(text, start);
  const value = reader.value(0);
  return { value, end: Math.max(reader.pos, start + 1) };
}

/** The value as `JSON.parse` gives it. */
export function plainJson(value: Json): unknown {
  if (value instanceof Map) {
    return Object.fromEntries(
      [...(value as ReadonlyMap<string, Json>)].map(([key, item]) => [key, plainJson(item)]),
    );
  }
  return Array.isArray(value) ? (value as readonly Json[]).map(plainJson) : value;
}

class Reader {
  constructor(
    private readonly text: string,
    public pos: number,
  ) {}

  value(depth: number): Json | undefined {
    if (depth > MAX_DEPTH) return undefined;
    switch (this.text[this.pos]) {
      case '{':
        return this.object(depth);
      case '[':
        return this.list(depth);
      case '"':
        return this.string();
      default:
        return this.scalar();
    }
  }

  private object(depth: number): ReadonlyMap<string, Json> | undefined {
    const fields = new Map<string, Json>();
    this.step();
    while (this.text[this.pos] !== '}') {
      const key = this.text[this.pos] === '"' ? this.string() : undefined;
      if (key === undefined || fields.has(key)) return undefined;
      this.blanks();
      if (this.text[this.pos] !== ':') return undefined;
      this.step();
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      fields.set(key, value);
      if (!this.separator('}')) return undefined;
    }
    this.pos += 1;
    return fields;
  }

  private list(depth: number): readonly Json[] | undefined {
    const items: Json[] = [];
    this.step();
    while (this.text[this.pos] !== ']') {
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      items.push(value);
      if (!this.separator(']')) return undefined;
    }
    this.pos += 1;
    return items;
  }

  /** Steps over a comma, or stays at the closing bracket. */
  private separator(closing: string): boolean {
    this.blanks();
    if (this.text[this.pos] === closing) return true;
    if (this.text[this.pos] !== ',') return false;
    this.step();
    return true;
  }

  /** A text with a wrong escape is refused as a whole: what it meant cannot be known. */
  private string(): string | undefined {
    const start = this.pos + 1;
    let escaped = false;
    let wrong = false;
    for (this.pos = start; this.pos < this.text.length; this.pos += 1) {
      const unit = this.text.charCodeAt(this.pos);
      if (unit === BACKSLASH) {
        escaped = true;
        this.pos += 1;
        wrong ||= !this.escape();
      } else if (unit === QUOTE) {
        const raw = this.text.slice(start, this.pos);
        this.pos += 1;
        if (wrong) return undefined;
        return escaped ? decode(raw) : raw;
      }
    }
    return undefined;
  }

  private escape(): boolean {
    const letter = this.text[this.pos] ?? '';
    if (letter !== 'u') return letter !== '' && '"\\/bfnrt'.includes(letter);
    HEX4.lastIndex = this.pos + 1;
    return HEX4.test(this.text);
  }

  private scalar(): number | boolean | null | undefined {
    SCALAR.lastIndex = this.pos;
    const literal = SCALAR.exec(this.text)?.[0];
    if (literal === undefined) return undefined;
    this.pos += literal.length;
    return JSON.parse(literal) as number | boolean | null;
  }

  private step(): void {
    this.pos += 1;
    this.blanks();
  }

  private blanks(): void {
    for (;;) {
      const unit = this.text.charCodeAt(this.pos);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      this.pos += 1;
    }
  }
}

/** The escapes were checked before, so that this cannot fail; control characters are escaped first, as JSON wants. */
function decode(raw: string): string {
  const strict = raw.replace(/\p{Cc}/gu, (control) => JSON.stringify(control).slice(1, -1));
  return JSON.parse(`"${strict}"`) as string;
}
