import { Readability } from '@mozilla/readability';
import TurndownService from 'turndown';
import { cleanHtml, type CleanHtml, type DomNode } from './clean-html.js';

/** Below this an "article" is more likely a wrong guess than a short page. */
const SHORT_ARTICLE_CHARS = 200;

/** What a reader sees of an HTML page, as Markdown. Bounded in time and memory for any input. */
export interface HtmlText {
  /** '' when the page has none. */
  readonly title: string;
  readonly text: string;
  readonly truncated: boolean;
}

/**
 * The article of the page, or all that it shows when no article can be told apart.
 * @param base The page's address, for relative links.
 */
export function htmlToText(html: string, base: string): HtmlText {
  const clean = cleanHtml(html, base);
  const text = toMarkdown(clean.truncated ? clean.document.body : mainPart(clean, html, base));
  return { title: clean.title.trim() || firstHeading(text), text, truncated: clean.truncated };
}

/** The article, or the whole page. A page beyond the limits is not searched: that would cost seconds. */
function mainPart(clean: CleanHtml, html: string, base: string): DomNode {
  const whole = clean.document.body.textContent?.trim() ?? '';
  const article = articleOf(clean);
  const length = article?.textContent?.trim().length ?? 0;
  if (article !== null && length >= Math.min(SHORT_ARTICLE_CHARS, whole.length)) return article;
  // The search for the article took its document apart.
  return cleanHtml(html, base).document.body;
}

/** The text of the first Markdown heading, or ''. */
export function firstHeading(markdown: string): string {
  return /^#{1,6}[ \t]+(\S.*)$/m.exec(markdown)?.[1]?.replace(/[ \t]#+[ \t]*$/, '') ?? '';
}

function articleOf(clean: CleanHtml): DomNode | null {
  try {
    const reader = new Readability<unknown>(clean.document, {
      disableJSONLD: true,
      serializer: (node: unknown) => node,
    });
    return (reader.parse()?.content ?? null) as DomNode | null;
  } catch {
    // It has no contract for odd documents; the whole page is the answer for them.
    return null;
  }
}

function toMarkdown(node: DomNode): string {
  const service = new TurndownService({
    headingStyle: 'atx',
    codeBlockStyle: 'fenced',
    bulletListMarker: '-',
  });
  service.addRule('cell', {
    filter: ['td', 'th'],
    replacement: (content) => ` ${content.replace(/\s+/g, ' ').trim()} |`,
  });
  service.addRule('row', { filter: 'tr', replacement: (content) => `\n|${content}` });
  return service.turndown(node);
}
