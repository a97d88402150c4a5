import { readFileSync } from 'node:fs';
import { PROJECT } from './dockerfile.js';

/** Whether `.dockerignore` keeps a path (from the project's root, with `/`) out of the builds. The last rule wins. */
export function isIgnored(path: string, rules = rulesOfProject()): boolean {
  let ignored = false;
  for (const { pattern, negated } of rules) if (pattern.test(path)) ignored = !negated;
  return ignored;
}

function rulesOfProject() {
  const lines = readFileSync(`${PROJECT}.dockerignore`, 'utf8').split('\n');
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ negated: line.startsWith('!'), pattern: patternOf(line.replace(/^!/, '')) }));
}

/** A rule that matches a folder matches all that is in it. */
function patternOf(rule: string): RegExp {
  const source = rule
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('**/', '\0')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]')
    .replaceAll('\0', '(?:.*/)?');
  return new RegExp(`^${source}(?:/.*)?$`);
}
