import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ChromaClient } from 'chromadb';
import { systemClock } from '../../src/config/system-clock.js';
import { ChromaAgentMemory } from '../../src/ports/agent-memory/chroma-agent-memory.js';
import { HashedEmbedding } from '../../src/ports/agent-memory/hashed-embedding.js';
import { type TextEmbedding } from '../../src/ports/agent-memory/text-embedding.js';
import { ManualClock } from '../support/manual-clock.js';
import { type ChromaProcess, startChroma } from '../support/servers/chroma-server.js';
import { agentMemoryContract } from './agent-memory.contract.js';

let server: ChromaProcess;
beforeAll(async () => {
  server = await startChroma();
}, 180_000);
afterAll(() => server.stop());

const client = () => {
  const { hostname, port, protocol } = new URL(server.url);
  return new ChromaClient({ host: hostname, port: Number(port), ssl: protocol === 'https:' });
};

/** A collection of its own for each test, so that a shared server's data stay untouched. */
async function open() {
  const collection = `euglena-test-${randomUUID()}`;
  const memories: ChromaAgentMemory[] = [];
  const connect = (embedding: TextEmbedding = new HashedEmbedding()) => {
    const memory = new ChromaAgentMemory({ url: server.url, collection }, embedding, systemClock);
    memories.push(memory);
    return memory;
  };
  return {
    memory: connect(),
    again: async () => connect(),
    connect,
    collection,
    close: async () => {
      for (const memory of memories) await memory.close();
      await client()
        .deleteCollection({ name: collection })
        .catch(() => undefined);
    },
  };
}

agentMemoryContract('ChromaDB', open);

const EYESPOT = { sourceId: 'S1', text: 'The eyespot sees light.' };
const refusal = { name: 'EuglenaError', code: 'engine_unavailable' };

/** Another kind of vectors than the hashed words', with as many numbers as asked for. */
const vectors = (name: string, dimensions: number): TextEmbedding => ({
  name,
  embed: async (texts) =>
    texts.map((_, i) => Array.from({ length: dimensions }, (_, k) => (k === i ? 1 : 0.1))),
  close: async () => {},
});

describe('agent memory on ChromaDB, beyond the contract', () => {
  // Not portable: the other memories know no collection.
  it('makes a lost collection anew', async () => {
    const { memory, collection, close } = await open();
    await memory.remember('task', [EYESPOT]);
    await client().deleteCollection({ name: collection });
    expect(await memory.recall('task', 'eyespot', 5)).toEqual([]);
    await client().deleteCollection({ name: collection });
    await memory.remember('task', [EYESPOT]);
    await client().deleteCollection({ name: collection });
    await memory.forget(['task']);
    await memory.remember('task', [EYESPOT]);
    expect(await memory.recall('task', 'eyespot', 5)).toEqual([EYESPOT]);
    await close();
  });

  // Not portable: embeddings.
  it.each([
    ['another name', vectors('other-model', 384)],
    ['another length and the same name', vectors('hashed-words-384', 5)],
  ])('refuses a collection of embeddings with %s, in one line', async (_what, embedding) => {
    const { memory, connect, collection, close } = await open();
    await memory.remember('task', [EYESPOT]);
    const other = connect(embedding);
    const refused = {
      ...refusal,
      message:
        `ChromaDB's collection ${collection} was made with other embeddings than ${embedding.name}; ` +
        'delete it or set the EMBEDDING_MODEL it was made with.',
    };
    await expect(other.remember('task', [EYESPOT])).rejects.toMatchObject(refused);
    await expect(other.recall('task', 'eyespot', 5)).rejects.toMatchObject(refused);
    expect(await memory.recall('task', 'eyespot', 5)).toEqual([EYESPOT]);
    await close();
  });

  // Not portable: a text index may answer such needs by the words in them.
  it('takes half a surrogate pair, recalls nothing for a need without words, keeps no passage without', async () => {
    const { memory, close } = await open();
    await memory.remember('task', [
      { sourceId: 'S1', text: 'light \ud800' },
      { sourceId: 'S2', text: '—' },
    ]);
    expect(await memory.recall('task', 'light \udc00', 5)).toEqual([
      { sourceId: 'S1', text: 'light \ufffd' },
    ]);
    for (const need of ['', ' \n', '🦠', '?!']) expect(await memory.recall('task', need, 5)).toEqual([]);
    await close();
  });

  it('stores and forgets more than one request takes', async () => {
    const { memory, collection, close } = await open();
    const count = async () => (await client().getCollection({ name: collection })).count();
    const passages = Array.from({ length: 450 }, (_, i) => ({
      sourceId: `S${i}`,
      text: `Note ${i} on light.`,
    }));
    await memory.remember('task-0', passages);
    const tasks = Array.from({ length: 45 }, (_, i) => `task-${i}`);
    for (const task of tasks) await memory.remember(task, [EYESPOT]);
    expect(await count()).toBe(495);
    await memory.forget(tasks.slice(1));
    expect(await count()).toBe(451);
    await memory.forget(tasks);
    expect(await count()).toBe(0);
    await close();
  });
});

/** A server that takes connections and never answers. */
async function startSilence() {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).resume();
  }).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  return {
    url: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
    asked: () => once(silent, 'connection'),
    stop: async () => {
      sockets.forEach((socket) => socket.destroy());
      silent.close();
      await once(silent, 'close');
    },
  };
}

describe('a ChromaDB server that is not there', () => {
  const memoryAt = (url: string, clock = new ManualClock()) =>
    new ChromaAgentMemory({ url }, new HashedEmbedding(), clock);

  it('is unavailable', async () => {
    const { url, stop } = await startSilence();
    await stop();
    const memory = memoryAt(url);
    await expect(memory.remember('task', [EYESPOT])).rejects.toMatchObject(refusal);
    await expect(memory.recall('task', 'x', 1)).rejects.toMatchObject(refusal);
    await expect(memory.forget(['task'])).rejects.toMatchObject(refusal);
    await expect(memory.ping()).rejects.toMatchObject(refusal);
    await memory.close();
  });

  it('is given two seconds for each step', async () => {
    const { url, asked, stop } = await startSilence();
    const clock = new ManualClock();
    const memory = memoryAt(url, clock);
    const steps = [
      () => memory.remember('task', [EYESPOT]),
      () => memory.recall('task', 'x', 1),
      () => memory.forget(['task']),
      () => memory.ping(),
    ];
    for (const step of steps) {
      const arrival = asked();
      const outcome = step().then(
        () => 'answered',
        (error: unknown) => error,
      );
      await arrival;
      clock.advance(2_000);
      const message = `ChromaDB at ${new URL(url).host} gave no answer within 2 s.`;
      expect(await outcome).toMatchObject({ ...refusal, message });
    }
    await memory.close();
    await stop();
  });

  it('holds up nobody who closes', async () => {
    const { url, asked, stop } = await startSilence();
    const memory = memoryAt(url);
    const arrival = asked();
    const recalled = memory.recall('task', 'x', 1).catch((error: unknown) => error);
    await arrival;
    await memory.close();
    expect(await recalled).toMatchObject(refusal);
    await stop();
  });
});

describe('a ChromaDB server that comes back', () => {
  it('has kept what it acknowledged', async () => {
    const { memory, close } = await open();
    await memory.remember('task', [EYESPOT]);
    await server.restart();
    expect(await memory.recall('task', 'eyespot', 5)).toEqual([EYESPOT]);
    await memory.remember('task', [{ ...EYESPOT, sourceId: 'S2' }]);
    expect(await memory.recall('task', 'eyespot', 5)).toHaveLength(2);
    await close();
  });
});
