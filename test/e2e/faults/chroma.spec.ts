import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import { ChromaClient } from 'chromadb';
import { type JournalEntry } from '../../../src/domain/journal.js';
import { eventually } from '../../support/eventually.js';
import { type EuglenaApi } from '../../support/euglena-api.js';
import { type EuglenaProcess } from '../../support/euglena-process.js';
import { type ChromaProcess, startPrivateChroma } from '../../support/servers/chroma-server.js';
import { type Question } from '../../support/stage.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { type Engines, openEngines, STARTING_MS } from './engines.js';
import { fault } from './fault.js';

const COLLECTION = 'euglena-passages';

let engines: Engines;
let chroma: ChromaProcess;
/** The agents' way to ChromaDB. */
let proxy: TcpProxy;
let client: ChromaClient;
let documents: string;
let api: EuglenaApi;

beforeAll(async () => {
  [engines, chroma] = await Promise.all([openEngines(), startPrivateChroma()]);
  proxy = await startTcpProxy(chroma.url);
  client = new ChromaClient({ host: '127.0.0.1', port: Number(new URL(chroma.url).port) });
  documents = join(engines.stage.dataDir, 'documents');
  mkdirSync(documents);
  for (const n of [1, 2, 3, 4, 5, 6]) {
    writeFileSync(
      join(documents, `page${n}.md`),
      `# Page ${n}\n\nEuglena number ${n} swims with a flagellum.`,
    );
  }
}, STARTING_MS);
afterAll(async () => {
  await proxy.close();
  await Promise.all([engines.close(), chroma.stop()]);
}, STARTING_MS);
beforeEach(async () => {
  api = await engines.newUser();
});
afterEach(async () => {
  proxy.heal();
  await engines.endOthers();
});

const agent = () => engines.start('agent', { CHROMA_URL: proxy.url, SEARCH_CORPUS_DIR: documents });
/** Reads that many pages, one in each tick, and answers. */
const reader =
  (pages: number) =>
  ({ tick }: Question) =>
    tick <= pages
      ? { action: 'VISIT', argument: `corpus:page${tick}.md` }
      : { action: 'EXIT', argument: 'It swims with a flagellum [s1].' };

/** The task has ended well; answers what each of its ticks says of the memory. */
async function memoryOf(id: string): Promise<unknown[]> {
  await engines.audit({ api, ids: [id] });
  expect(await api.task(id)).toMatchObject({ status: 'completed' });
  return observations(await api.journal(id)).map(({ data }) => data.memory);
}
const observations = (journal: readonly JournalEntry[]) =>
  journal.filter(({ type }) => type === 'observation');
const linesOf = ({ output }: EuglenaProcess, text: string) =>
  output()
    .split('\n')
    .filter((line) => line.includes(text));

fault(
  'F41',
  'ChromaDB is down',
  'tasks go on without memory and say so; after five failures in a row it is left alone, for all tasks of the agent',
  async () => {
    engines.say(reader(3));
    const worker = await agent();
    const { id: before } = await api.submit('before');
    expect(await memoryOf(before)).toEqual([undefined, undefined, undefined]);
    proxy.refuse();
    const { id: first } = await api.submit('first');
    const { id: second } = await api.submit('second');
    await engines.audit({ api, ids: [before, first, second] });
    for (const id of [first, second]) {
      const journal = await api.journal(id);
      expect(observations(journal).map(({ data }) => data.memory)).toEqual(Array(3).fill('unavailable'));
      expect(await api.task(id)).toMatchObject({ status: 'completed', result: { sources: [{ id: 's1' }] } });
    }
    expect(linesOf(worker, 'left alone for 30 s')).toHaveLength(1);
    expect(linesOf(worker, 'memory is unavailable')).toHaveLength(2);
  },
);

fault(
  'F42',
  'ChromaDB takes 10 s for every answer',
  'an agent waits 2 s for it, no longer, and goes on without memory',
  async () => {
    engines.say(reader(2));
    await agent();
    proxy.delay(10_000);
    const { id } = await api.submit('F42');
    await engines.audit({ api, ids: [id] });
    const journal = await api.journal(id);
    expect(observations(journal).map(({ data }) => data.memory)).toEqual(['unavailable', 'unavailable']);
    const ticks = journal.filter(({ type }) => type === 'tick');
    observations(journal).forEach(({ at }, index) => {
      expect(at - (ticks[index]?.at ?? 0)).toBeGreaterThan(1_900);
      expect(at - (ticks[index]?.at ?? 0)).toBeLessThan(4_000);
    });
  },
);

fault(
  'F43',
  'ChromaDB loses the collection while a task runs',
  'the collection is made anew; the task goes on with what it reads from then on',
  async () => {
    engines.say((question) => ({ ...reader(3)(question), delayMs: question.tick === 3 ? 1_000 : 0 }));
    await agent();
    const { id } = await api.submit('F43');
    await eventually('two pages are read', () =>
      engines.stage.questions.some(({ mandate, tick }) => mandate === 'F43' && tick === 3),
    );
    await client.deleteCollection({ name: COLLECTION });
    expect(await memoryOf(id)).toEqual([undefined, undefined, undefined]);
    const collection = await client.getCollection({ name: COLLECTION });
    const { metadatas } = await collection.get({ where: { task: id } });
    expect(metadatas).toEqual([{ task: id, source: 's3' }]);
  },
);

fault(
  'F43',
  'the collection of ChromaDB was made with other embeddings',
  'one line names it; tasks go on without memory, and nothing of the collection is touched',
  async () => {
    engines.say(reader(2));
    await client.deleteCollection({ name: COLLECTION }).catch(() => undefined);
    const other = await client.createCollection({
      name: COLLECTION,
      metadata: { embedding: 'another-model' },
    });
    await other.add({ ids: ['a'], embeddings: [[1, 2, 3]], documents: ['of somebody else'] });
    const worker = await agent();
    const { id } = await api.submit('F43, other embeddings');
    expect(await memoryOf(id)).toEqual(['unavailable', 'unavailable']);
    expect(linesOf(worker, 'was made with other embeddings than')).toHaveLength(1);
    expect(await other.count()).toBe(1);
    await client.deleteCollection({ name: COLLECTION });
  },
);
