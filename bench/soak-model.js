import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startModelServer } from './model-server.js';

const PAGES = 10;
const DELAY_MS = [10, 80];

/** What the model does with a mandate stands in the mandate: so many thoughts, a page first or none, then the answer. */
export function mandateOf(number, { thoughts, reads }) {
  const page = reads ? ` after reading corpus:page-${number % PAGES}.md` : '';
  return `Soak ${number}: ${thoughts} thoughts${page}, then an answer.`;
}

export function answerTo(mandate) {
  return `The answer to ${mandate}`;
}

/** Writes the pages that mandates name. */
export function writePages(folder) {
  mkdirSync(folder);
  for (let page = 0; page < PAGES; page += 1) {
    const text = Array.from(
      { length: 8 },
      (_, part) => `Part ${part} tells of thought ${part} of page ${page}.`,
    );
    writeFileSync(join(folder, `page-${page}.md`), `# Page ${page}\n\n${text.join('\n\n')}\n`);
  }
}

/**
 * A model that does what mandates say, and remembers what it was asked: which tick of which mandate, by which agent (the
 * first part of its path) and when.
 */
export async function startSoakModel(random) {
  const questions = new Map();
  const server = await startModelServer(async (path, body) => {
    const { messages } = JSON.parse(body);
    const mandate = messages[1].content.replace('Mandate:\n', '');
    const tick = Number(/This is tick (\d+) of/.exec(messages.at(-1).content)?.[1]);
    if (!questions.has(mandate)) questions.set(mandate, []);
    questions.get(mandate).push({ tick, agent: path.split('/')[1], at: Date.now() });
    await delay(random.between(...DELAY_MS));
    return actionOf(mandate, tick);
  });
  return {
    urlFor: (agent) => server.url.replace('/v1', `/${agent}/v1`),
    asked: (mandate) => questions.get(mandate) ?? [],
    close: server.close,
  };
}

function actionOf(mandate, tick) {
  const [, thoughts, page] = /: (\d+) thoughts(?: after reading (\S+?))?, then/.exec(mandate) ?? [];
  if (tick > Number(thoughts)) return { thought: '', action: 'EXIT', argument: answerTo(mandate) };
  if (tick === 1 && page !== undefined) return { thought: '', action: 'VISIT', argument: page };
  return { thought: '', action: 'THINK', argument: `thought ${tick} of ${mandate}` };
}
