/** Characters of a robots.txt that are read: what RFC 9309 asks a parser to take at least. */
export const ROBOTS_MAX_BYTES = 512_000;
const MAX_RULES = 5_000;
const MAX_PATTERN_CHARS = 1_000;
const MAX_PATH_CHARS = 2_048;

interface Rule {
  readonly allow: boolean;
  readonly pattern: string;
}

/** What one robots.txt says to one agent. */
export interface Robots {
  allows(url: URL): boolean;
  /** Characters that it holds. */
  readonly size: number;
}

export const ALLOW_ALL: Robots = { allows: () => true, size: 0 };

/**
 * The rules of a robots.txt for an agent, by RFC 9309: the groups that name its product token, else those for `*`; the
 * longest pattern that matches decides, and of two as long the one that allows. Linear in its text, which is hostile:
 * only the rules for this agent are kept, and only the first 5,000.
 * @param token The agent's product token: the part of its User-Agent before the first slash.
 */
export function parseRobots(text: string, token: string): Robots {
  const name = token.toLowerCase();
  const own: Rule[] = [];
  const general: Rule[] = [];
  let named = { own: false, general: false, open: false, ownEver: false };
  for (const line of text.split(/\r\n|\r|\n/)) {
    const [, field = '', value = ''] = /^\s*([a-z-]+)\s*:\s*([^#]*)/i.exec(line) ?? [];
    const key = field.toLowerCase();
    if (key === 'user-agent') {
      if (!named.open) named = { ...named, own: false, general: false, open: true };
      const agent = tokenOf(value).toLowerCase();
      if (agent === name) named = { ...named, own: true, ownEver: true };
      if (agent === '*') named = { ...named, general: true };
    } else if (key === 'allow' || key === 'disallow') {
      named = { ...named, open: false };
      const pattern = encoded(value.trim());
      if (pattern === '' || pattern.length > MAX_PATTERN_CHARS) continue;
      const rule = { allow: key === 'allow', pattern };
      if (named.own && own.length < MAX_RULES) own.push(rule);
      if (named.general && general.length < MAX_RULES) general.push(rule);
    }
  }
  return robotsOf(named.ownEver ? own : general);
}

/** The product token of a User-Agent, or of a line that names one. */
export function tokenOf(userAgent: string): string {
  return /^[^\s/]*/.exec(userAgent.trim())?.[0] ?? '';
}

function robotsOf(rules: readonly Rule[]): Robots {
  return {
    size: rules.reduce((sum, { pattern }) => sum + pattern.length, 0),
    allows: ({ pathname, search }) => {
      const path = encoded(`${pathname}${search}`).slice(0, MAX_PATH_CHARS);
      if (path === '/robots.txt') return true;
      let best: Rule | null = null;
      for (const rule of rules) {
        const isBetter =
          best === null ||
          rule.pattern.length > best.pattern.length ||
          (rule.pattern.length === best.pattern.length && rule.allow);
        if (isBetter && matches(rule.pattern, path)) best = rule;
      }
      return best?.allow ?? true;
    },
  };
}

/** `*` stands for any characters, a `$` at the end for the end of the path. Each part is taken where it comes first. */
function matches(pattern: string, path: string): boolean {
  const anchored = pattern.endsWith('$');
  const [first = '', ...rest] = (anchored ? pattern.slice(0, -1) : pattern).split('*');
  if (!path.startsWith(first)) return false;
  let at = first.length;
  const last = rest.pop();
  for (const part of rest) {
    const found = path.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  if (last === undefined) return !anchored || at === path.length;
  return anchored ? path.length - last.length >= at && path.endsWith(last) : path.indexOf(last, at) >= 0;
}

/** One spelling for a path: what needs encoding is encoded, in capitals. */
function encoded(path: string): string {
  const ascii = path.replace(/[^\x21-\x7e]+/gu, (part) => encodeURIComponent(Buffer.from(part).toString()));
  return ascii.replace(/%[0-9a-f]{2}/gi, (code) => code.toUpperCase());
}
