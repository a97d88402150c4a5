import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { requestOf, situationOf } from '../../../test/contract/language-model.contract.js';
import { type Action } from '../../domain/action.js';
import { parseAction } from '../../domain/parse-action.js';
import { type Observation, type SearchHit, type Situation, type TickRecord } from '../../domain/situation.js';
import { type Source } from '../../domain/task.js';
import { ExtractiveLanguageModel } from './extractive-language-model.js';

const model = new ExtractiveLanguageModel();

async function decide(situation: Situation): Promise<Action> {
  const { text } = await model.decide(requestOf(situation));
  const parsed = parseAction(text);
  if (parsed.kind !== 'action') throw new Error(`${parsed.reason}: ${text}`);
  return parsed.action;
}

interface Document {
  readonly url: string;
  readonly title: string;
  readonly text: string;
}

const SCALING: Document = {
  url: 'corpus:scaling.md',
  title: 'Scaling',
  text: `# How Euglena scales

The fleet follows the work. [Settings](settings.md) · [Operations](operations.md)

## The rule

The autoscaler decides how many agents run by one pure function:
- the messages that wait and those in flight, divided by the target per worker and rounded up: \`ceil((R + U) / N)\`;
- never below the agents that are busy, and always between 1 and 11.

It grows at once, and shrinks only to the highest wish of the last five minutes.

\`\`\`ts
const agents = decide(run, euglena);
\`\`\`

| setting | default | meaning |
|---|---|---|
| \`MAX_WORKERS\` | 11 | the most agents that run |
`,
};
const MEMORY: Document = {
  url: 'corpus:memory.md',
  title: 'Memory',
  text: 'What an agent reads is kept as passages. Full-text search ranks them by BM25, e.g. For short queries. It forgets a task after seven days.',
};

/** Runs a mandate to its EXIT over documents; `find` is the search engine. */
async function run(
  mandate: string,
  documents: readonly Document[],
  maxTicks = 10,
  find: (query: string) => readonly Document[] = () => documents,
) {
  const history: TickRecord[] = [];
  const sources: Source[] = [];
  const visit = (url: string): Observation => {
    const document = documents.find((one) => one.url === url);
    if (document === undefined) return { text: 'There is no such page.', failed: true };
    const source = { id: `s${sources.length + 1}`, url, title: document.title, retrievedAt: 0, sha256: '' };
    sources.push(source);
    return { text: document.text, failed: false, source };
  };
  const search = (query: string): Observation => {
    const hits = find(query).map(({ url, title, text }) => ({ url, title, snippet: text.slice(0, 80) }));
    return { text: `${hits.length} found`, failed: false, hits };
  };
  for (let tick = 1; tick <= maxTicks; tick += 1) {
    const known = { mandate, tick, maxTicks, mustExit: tick === maxTicks, history, sources };
    const action = await decide(situationOf(known));
    if (action.name === 'EXIT')
      return { answer: action.argument, actions: history.map(({ action: one }) => one) };
    const observation = action.name === 'VISIT' ? visit(action.argument) : search(action.argument);
    history.push({ tick, action, observation });
  }
  throw new Error('no EXIT within the budget');
}
const names = (actions: readonly Action[]) => actions.map(({ name }) => name);

describe('what the extractive model does', () => {
  it('searches the key words, visits what fits best first, and quotes with sources', async () => {
    const { answer, actions } = await run('How does Euglena decide how many agents to run?', [
      SCALING,
      MEMORY,
    ]);
    expect(actions.map(({ name, argument }) => `${name} ${argument}`)).toEqual([
      'SEARCH Euglena decide agents run',
      'VISIT corpus:scaling.md',
      'VISIT corpus:memory.md',
    ]);
    expect(answer).toContain('ceil((R + U) / N)');
    expect(answer).toContain('between 1 and 11. [s1]');
    expect(answer).not.toMatch(/```|\]\(|const agents|# /);
    answer.split('\n').forEach((line) => expect(line).toMatch(/ \[s[12]\]$/));
  });

  it('visits three pages at most', async () => {
    const many = [1, 2, 3, 4, 5].map((n) => ({ ...SCALING, url: `corpus:${n}.md` }));
    const { actions } = await run('How many agents run?', many);
    expect(names(actions)).toEqual(['SEARCH', 'VISIT', 'VISIT', 'VISIT']);
  });

  it('keeps the last tick of a small budget for the answer', async () => {
    expect(names((await run('How many agents run?', [SCALING, MEMORY], 3)).actions)).toEqual([
      'SEARCH',
      'VISIT',
    ]);
    const { answer } = await run('How many agents run?', [SCALING], 2);
    expect(answer).toContain(
      'No document was read. The search results alone say:\n- Scaling: # How Euglena scales',
    );
    expect(await run('How many agents run?', [SCALING], 1)).toMatchObject({ actions: [] });
  });

  it('searches once more, with fewer words, when little is found', async () => {
    const find = (query: string) => (query === 'scaling agents' ? [SCALING] : []);
    const { answer, actions } = await run('Are scaling agents odd?', [SCALING], 10, find);
    expect(actions.map(({ argument }) => argument)).toEqual([
      'scaling agents odd',
      'scaling agents',
      SCALING.url,
    ]);
    expect(answer).toContain('[s1]');
  });

  it('visits the address that a mandate names before it searches', async () => {
    const page = { ...MEMORY, url: 'https://example.com/memory?a=b' };
    const { answer, actions } = await run(`What ranks passages in (${page.url})?`, [page]);
    expect(actions[0]).toMatchObject({ name: 'VISIT', argument: page.url });
    expect(answer).toContain('ranks them by BM25');
  });

  it('goes on when a page cannot be read', async () => {
    const broken: SearchHit[] = [{ url: 'corpus:gone.md', title: 'How many agents run', snippet: '' }];
    const find = () => [...broken.map((hit) => ({ ...hit, text: '' })), SCALING];
    const { answer, actions } = await run('How many agents run?', [SCALING], 10, find);
    expect(actions.map(({ argument }) => argument).slice(1)).toEqual(['corpus:gone.md', 'corpus:scaling.md']);
    expect(answer).toContain('[s1]');
  });

  it('says plainly that what it read does not answer', async () => {
    const { answer } = await run('What is the capital of France?', [SCALING, MEMORY]);
    expect(answer).toBe('The documents that were read do not answer this: [s1] [s2]');
    expect((await run('What is the capital of France?', [])).answer).toContain('No document was found');
  });

  it('quotes passages from memory', async () => {
    const source: Source = { id: 's1', url: 'corpus:a.md', title: 'A', retrievedAt: 0, sha256: '' };
    const recalled = [
      { sourceId: 's1', text: 'The lease of a task lasts thirty seconds.' },
      { sourceId: 's9', text: 'The lease of a task lasts as long as a source that nobody knows.' },
    ];
    const mandate = 'How long does the lease of a task last?';
    const action = await decide(situationOf({ mandate, sources: [source], recalled, mustExit: true }));
    expect(action.argument).toBe('The lease of a task lasts thirty seconds. [s1]');
  });
});

describe('any situation at all', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(SCALING.text, MEMORY.text, '|a|', '- ', '# x'),
  );
  const source = fc.record({
    id: fc.constantFrom('s1', 's2'),
    url: fc.constantFrom('corpus:a.md', 'corpus:b.md'),
    title: text,
    retrievedAt: fc.constant(0),
    sha256: fc.constant(''),
  });
  const hit = fc.record({ url: fc.oneof(text, fc.webUrl()), title: text, snippet: text });
  const observation = fc.record(
    { text, failed: fc.boolean(), hits: fc.array(hit), source },
    { requiredKeys: ['text', 'failed'] },
  );
  const situation = fc.record({
    mandate: fc.oneof(text, fc.constant('How many agents run? See https://example.com/a.')),
    tick: fc.integer({ min: 1, max: 5 }),
    maxTicks: fc.integer({ min: 1, max: 5 }),
    mustExit: fc.boolean(),
    outputSchema: fc.constant(null),
    history: fc.array(
      fc.record({
        tick: fc.nat(),
        action: fc.record({
          name: fc.constantFrom('SEARCH' as const, 'VISIT' as const, 'THINK' as const),
          argument: text,
          thought: text,
        }),
        observation: fc.option(observation),
      }),
    ),
    sources: fc.array(source),
    recalled: fc.array(fc.record({ sourceId: fc.constantFrom('s1', 's2', 'x'), text })),
  });

  it('gives an action that the parser reads, and the same one each time', async () => {
    await fc.assert(
      fc.asyncProperty(situation, async (known) => {
        const action = await decide(known);
        expect(await decide(known)).toEqual(action);
        if (known.mustExit || known.tick >= known.maxTicks) expect(action.name).toBe('EXIT');
      }),
      { numRuns: 500 },
    );
  });

  it.each(['A. ', '[', '| a ', '- a\n', '`', '<a', '*a', 'word ', 'x', '(', '[a](', '&', '\n\n'])(
    'takes linear time over a document of %j',
    async (unit) => {
      const source = { id: 's1', url: 'u', title: '', retrievedAt: 0, sha256: '' };
      const recalled = [{ sourceId: 's1', text: unit.repeat(200_000 / unit.length) }];
      const started = performance.now();
      await decide(situationOf({ sources: [source], recalled, mustExit: true }));
      // Far below quadratic time, with room for a busy machine.
      expect(performance.now() - started).toBeLessThan(2_000);
    },
  );
});
