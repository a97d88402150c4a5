import { parseHTML } from 'linkedom';
import { parseUrl } from '../../domain/parse-url.js';

/** The few DOM members that are used here. */
export interface DomNode {
  readonly nodeType: number;
  readonly localName: string;
  readonly textContent: string | null;
  readonly firstChild: DomNode | null;
  readonly nextSibling: DomNode | null;
  getAttribute(name: string): string | null;
  setAttribute(name: string, value: string): void;
  appendChild(child: DomNode): DomNode;
}
export interface DomDocument {
  readonly body: DomNode;
  createElement(name: string): DomNode;
  createTextNode(text: string): DomNode;
}
export interface CleanHtml {
  readonly document: DomDocument;
  readonly title: string;
  readonly truncated: boolean;
}

const MAX_CHARS = 2_000_000;
/** Tags and entities: what a parser makes nodes of. */
const MAX_MARKS = 60_000;
/** Parsing is quadratic in the depth of open tags. */
const MAX_UNCLOSED = 10_000;
const MAX_TAG_CHARS = 20_000;
const MAX_ELEMENTS = 15_000;
const MAX_DEPTH = 64;
const MAX_ATTRIBUTE_CHARS = 2_000;
const ELEMENT = 1;
const TEXT = 3;

const words = (list: string) => new Set(list.split(' '));
const VOID = words('area base br col embed hr img input link meta source track wbr');
const DROPPED = words(
  'script style noscript template svg iframe object embed canvas audio video map area img picture source track ' +
    'input select textarea button datalist link meta base frame frameset applet dialog',
);
/** Their content counts, they themselves do not: the copy has its own. */
const TRANSPARENT = words('html head body form');

/**
 * A small, clean copy of a hostile document: bounded in elements, depth and attributes, without scripts, hidden parts,
 * forms' fields and pictures, white space collapsed, links absolute. The libraries that read it afterwards (recursive,
 * and partly quadratic) then end soon, whatever the page holds.
 * @param base The page's address, for relative links.
 */
export function cleanHtml(html: string, base: string): CleanHtml {
  const limited = limitMarkup(html);
  const copy = new CleanCopy(base);
  copy.take(parse(`<!doctype html><html><body>${limited.html}`).body);
  return {
    document: copy.document,
    title: copy.title,
    truncated: limited.cut || copy.full,
  };
}

function parse(html: string): DomDocument {
  return (parseHTML(html) as unknown as { document: DomDocument }).document;
}

/** Cuts the source where it would cost the parser too much. */
function limitMarkup(source: string): { html: string; cut: boolean } {
  const html = source
    .slice(0, MAX_CHARS)
    .replace(/<[a-z][^<>]*>?/gi, (tag) => (tag.length > MAX_TAG_CHARS ? '' : tag));
  const open = new Map<string, number>();
  let unclosed = 0;
  let marks = 0;
  for (const mark of html.matchAll(/<(\/?)([a-z][a-z0-9]*)|[<&]/gi)) {
    marks += 1;
    const name = mark[2]?.toLowerCase();
    if (name !== undefined && !VOID.has(name)) {
      const before = open.get(name) ?? 0;
      const after = mark[1] === '' ? before + 1 : Math.max(0, before - 1);
      open.set(name, after);
      unclosed += after - before;
    }
    if (marks > MAX_MARKS || unclosed > MAX_UNCLOSED) return { html: html.slice(0, mark.index), cut: true };
  }
  return { html, cut: source.length > MAX_CHARS };
}

interface Frame {
  next: DomNode | null;
  readonly into: DomNode;
  readonly depth: number;
  readonly preformatted: boolean;
}

class CleanCopy {
  readonly document = parse('<!doctype html><html><head></head><body></body></html>');
  title = '';
  full = false;
  private elements = 0;
  /** Length of the white space that the copy ends with. */
  private spaces = 0;

  constructor(private base: string) {}

  /** Walks with a stack of its own: the page decides the depth. */
  take(root: DomNode): void {
    const stack: Frame[] = [
      { next: root.firstChild, into: this.document.body, depth: 0, preformatted: false },
    ];
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const node = frame.next;
      if (node === null) {
        stack.pop();
        continue;
      }
      frame.next = node.nextSibling;
      if (node.nodeType === TEXT) this.addText(node.textContent ?? '', frame);
      if (node.nodeType === ELEMENT) {
        const inside = this.enter(node, frame);
        if (inside !== null) stack.push(inside);
      }
    }
  }

  /** The frame to copy the element's children in; null when the element is left out. */
  private enter(node: DomNode, { into, depth, preformatted }: Frame): Frame | null {
    const name = node.localName.toLowerCase();
    if (name === 'title' && this.title === '') this.title = node.textContent ?? '';
    if (name === 'base') this.base = absolute(node.getAttribute('href') ?? '', this.base) ?? this.base;
    if (name === 'title' || DROPPED.has(name) || isHidden(node)) return null;
    if (TRANSPARENT.has(name) || depth >= MAX_DEPTH || !/^[a-z][a-z0-9]*$/.test(name)) {
      return { next: node.firstChild, into, depth, preformatted };
    }
    if (this.elements >= MAX_ELEMENTS) {
      this.full = true;
      return null;
    }
    this.elements += 1;
    const copy = this.document.createElement(name);
    this.copyAttributes(node, copy, name);
    into.appendChild(copy);
    return {
      next: node.firstChild,
      into: copy,
      depth: depth + 1,
      preformatted: preformatted || name === 'pre',
    };
  }

  /** `class` and `id` help to tell the article from what surrounds it. */
  private copyAttributes(node: DomNode, copy: DomNode, name: string): void {
    for (const attribute of ['class', 'id', 'role']) {
      const value = node.getAttribute(attribute);
      if (value !== null && value.length <= 200) copy.setAttribute(attribute, value);
    }
    const href = name === 'a' ? absolute(node.getAttribute('href') ?? '', this.base) : null;
    if (href !== null) copy.setAttribute('href', href);
  }

  /** Long runs of white space make regular expressions behind this quadratic, also across elements. */
  private addText(source: string, { into, preformatted }: Frame): void {
    const text = preformatted ? source.replace(/\s{40,}/g, '\n') : source.replace(/\s+/g, ' ');
    const blank = text.trim() === '';
    if (text === '' || (blank && this.spaces >= (preformatted ? 40 : 1))) return;
    this.spaces = blank ? this.spaces + text.length : text.length - text.trimEnd().length;
    into.appendChild(this.document.createTextNode(text));
  }
}

/** Text that a reader of the page would not see must not reach the model either. */
function isHidden(node: DomNode): boolean {
  if (node.getAttribute('hidden') !== null) return true;
  const style = node.getAttribute('style');
  return (
    style !== null &&
    /(?:display\s*:\s*none|visibility\s*:\s*hidden)/i.test(style.slice(0, MAX_ATTRIBUTE_CHARS))
  );
}

function absolute(href: string, base: string): string | null {
  if (href === '' || href.startsWith('#') || href.length > MAX_ATTRIBUTE_CHARS) return null;
  const url = parseUrl(href, base);
  return url !== null && /^https?:$/.test(url.protocol) ? url.href : null;
}
