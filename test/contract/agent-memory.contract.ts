import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Passage } from '../../src/domain/situation.js';
import { type AgentMemory } from '../../src/ports/agent-memory/agent-memory.port.js';

/** What an adapter brings to the suite. */
export interface AgentMemoryHarness {
  /** An empty memory. */
  readonly memory: AgentMemory;
  /** Another instance over the same data: another process, as far as the adapter knows. */
  again(): Promise<AgentMemory>;
  /** Closes every instance and removes the data. */
  close(): Promise<void>;
}

const TASK = 'a4e1f0c2-7a55-4e0e-9d56-0c6f0f6f7a10';
const OTHER = 'a4e1f0c2-7a55-4e0e-9d56-0c6f0f6f7a11';

const FLAGELLUM = 'Euglena swims with a flagellum and turns towards light with the help of its eyespot.';
const FOOD = 'Euglena makes its own food in chloroplasts when there is light.';
const HARBOUR = 'The harbour of Trieste was a free port from 1719.';
const passage = (text: string, sourceId = 'S1'): Passage => ({ sourceId, text });

/** Needs that a query language could take for something else than words. */
const ODD_NEEDS = [
  '"',
  '""',
  '"unbalanced eyespot',
  "'; DROP TABLE memory_passages; --",
  'NOT',
  'AND OR NOT NEAR',
  'NEAR(eyespot light, 2)',
  'text : eyespot',
  'eyespot*',
  '^eyespot',
  '-eyespot +light',
  '{text} : (eyespot',
  'eyespot\0light',
  '\0',
  '🦠 👩‍🔬 🏳️‍🌈',
  '\ud800',
  'e\u0301',
  '\u202Eeyespot',
  '%_\\',
  '日本語のテキスト',
  '\n\t\r',
];

/** What every agent memory must do, whichever engine keeps it. */
export function agentMemoryContract(name: string, open: () => Promise<AgentMemoryHarness>): void {
  describe(`agent memory on ${name}`, () => {
    let harness: AgentMemoryHarness;
    let memory: AgentMemory;
    beforeEach(async () => {
      harness = await open();
      memory = harness.memory;
    });
    afterEach(() => harness.close());

    describe('recall', () => {
      it('finds nothing in an empty memory', async () => {
        expect(await memory.recall(TASK, 'eyespot', 5)).toEqual([]);
      });

      it('puts the passage with more of the needed words first', async () => {
        await memory.remember(TASK, [passage(HARBOUR, 'S1'), passage(FOOD, 'S2'), passage(FLAGELLUM, 'S3')]);
        const found = await memory.recall(TASK, 'How does Euglena turn towards light with its eyespot?', 3);
        expect(found[0]).toEqual(passage(FLAGELLUM, 'S3'));
        const [first] = await memory.recall(TASK, 'When did Trieste become a free port?', 3);
        expect(first).toEqual(passage(HARBOUR, 'S1'));
      });

      it('finds the one fitting passage among many', async () => {
        const others = Array.from({ length: 60 }, (_, i) =>
          passage(`Chapter ${i} is about ships, sails, ropes and the weather at sea.`, `S${i + 2}`),
        );
        await memory.remember(TASK, [...others.slice(0, 30), passage(FLAGELLUM), ...others.slice(30)]);
        const [first] = await memory.recall(TASK, 'the eyespot and the flagellum of Euglena', 5);
        expect(first).toEqual(passage(FLAGELLUM));
      });

      it('answers no more than the limit', async () => {
        const texts = Array.from({ length: 12 }, (_, i) => `Note ${i}: light and Euglena.`);
        await memory.remember(
          TASK,
          texts.map((text) => passage(text)),
        );
        for (const limit of [1, 5, 12]) {
          expect(await memory.recall(TASK, 'light', limit)).toHaveLength(limit);
        }
        expect(await memory.recall(TASK, 'light', 50)).toHaveLength(12);
        expect(await memory.recall(TASK, 'light', 0)).toEqual([]);
      });

      it.each(ODD_NEEDS.map((need) => [JSON.stringify(need), need]))(
        'takes %s as words at most',
        async (_shown, need) => {
          await memory.remember(TASK, [passage(FLAGELLUM)]);
          await memory.remember(OTHER, [passage(FOOD)]);
          for (const found of await memory.recall(TASK, need, 5)) expect(found).toEqual(passage(FLAGELLUM));
          expect(await memory.recall(TASK, 'eyespot', 5)).toEqual([passage(FLAGELLUM)]);
        },
      );

      it('takes any text as a need', async () => {
        await memory.remember(TASK, [passage(FLAGELLUM)]);
        await fc.assert(
          fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 80 }), async (need) => {
            for (const found of await memory.recall(TASK, need, 5)) expect(found.text).toBe(FLAGELLUM);
          }),
          { numRuns: 50 },
        );
      });

      it('takes a very long need', async () => {
        await memory.remember(TASK, [passage(FLAGELLUM)]);
        const words = Array.from({ length: 20_000 }, (_, i) => `word${i}`).join(' ');
        expect(await memory.recall(TASK, `eyespot ${words}`, 5)).toEqual([passage(FLAGELLUM)]);
        await expect(memory.recall(TASK, 'x'.repeat(1_000_000), 5)).resolves.toBeDefined();
      });
    });

    it("never recalls another task's passages", async () => {
      await memory.remember(TASK, [passage(FOOD)]);
      await memory.remember(OTHER, [passage(FLAGELLUM), passage(FOOD, 'S2')]);
      expect(await memory.recall(TASK, 'Euglena eyespot flagellum light food', 10)).toEqual([passage(FOOD)]);
      expect(await memory.recall(OTHER, 'Euglena', 10)).toHaveLength(2);
      expect(await memory.recall('unknown', 'Euglena', 10)).toEqual([]);
    });

    it('recalls among the tasks that are named, best first, and says whose each passage is', async () => {
      await memory.remember(TASK, [passage(FOOD), passage(HARBOUR, 'S2')]);
      await memory.remember(OTHER, [passage(FLAGELLUM)]);
      await memory.remember('third', [passage(FLAGELLUM), passage(FOOD)]);
      const found = await memory.recallAmong([TASK, OTHER], 'Euglena eyespot flagellum', 2);
      expect(found).toEqual([
        { ...passage(FLAGELLUM), correlationId: OTHER },
        { ...passage(FOOD), correlationId: TASK },
      ]);
      expect(await memory.recallAmong(['unknown', OTHER], 'Euglena', 9)).toHaveLength(1);
      expect(await memory.recallAmong([], 'Euglena', 9)).toEqual([]);
      expect(await memory.recallAmong([TASK], 'Euglena', 0)).toEqual([]);
      const many = Array.from({ length: 99 }, (_, i) => `task-${i}`);
      expect(await memory.recallAmong([...many, OTHER], 'flagellum', 9)).toHaveLength(1);
    });

    describe('remember', () => {
      it('keeps a passage once, from each source', async () => {
        await memory.remember(TASK, [passage(FOOD), passage(FOOD)]);
        await (await harness.again()).remember(TASK, [passage(FOOD)]);
        expect(await memory.recall(TASK, 'Euglena food', 10)).toEqual([passage(FOOD)]);
        await memory.remember(TASK, [passage(FOOD, 'S2')]);
        expect(await memory.recall(TASK, 'Euglena food', 10)).toHaveLength(2);
      });

      it('keeps it once when two instances remember at the same time', async () => {
        const other = await harness.again();
        await Promise.all(
          Array.from({ length: 10 }, (_, i) => (i % 2 ? memory : other).remember(TASK, [passage(FOOD)])),
        );
        expect(await memory.recall(TASK, 'Euglena food', 10)).toEqual([passage(FOOD)]);
      });

      it('takes no passages at all', async () => {
        await memory.remember(TASK, []);
        expect(await memory.recall(TASK, 'Euglena', 10)).toEqual([]);
      });

      it.each([
        ['quotes and line ends', 'Euglena said:\r\n"light", \'light\' \\ and `light`;\n-- no more'],
        ['other scripts', 'Euglena, Эвглена, μικρόβιο, יוגלנה, ユーグレナ, 눈벌레 🦠👩‍🔬'],
        ['markup', '<script>alert("Euglena")</script> [Euglena](https://example.com/?a=1&b=2)'],
        ['20,000 characters', `Euglena ${'swims towards the light '.repeat(833)}`],
      ])('gives back %s as they were', async (_what, text) => {
        await memory.remember(TASK, [passage(text)]);
        expect(await memory.recall(TASK, 'Euglena', 1)).toEqual([passage(text)]);
      });

      it('loses no text behind a NUL', async () => {
        await memory.remember(TASK, [passage('The eyespot\0sees light.')]);
        const [found] = await memory.recall(TASK, 'sees light', 1);
        expect(found?.text).toMatch(/^The eyespot.sees light\.$/su);
      });
    });

    describe('forget', () => {
      it('removes the passages of the named tasks only', async () => {
        await memory.remember(TASK, [passage(FOOD), passage(FLAGELLUM)]);
        await memory.remember(OTHER, [passage(FOOD)]);
        await memory.forget([TASK, 'unknown']);
        expect(await memory.recall(TASK, 'Euglena light', 10)).toEqual([]);
        expect(await memory.recall(OTHER, 'Euglena light', 10)).toEqual([passage(FOOD)]);
      });

      it('can be repeated, and undone by remembering again', async () => {
        await memory.remember(TASK, [passage(FOOD)]);
        await memory.forget([TASK]);
        await memory.forget([TASK]);
        await memory.forget([]);
        await memory.remember(TASK, [passage(FOOD)]);
        expect(await memory.recall(TASK, 'Euglena', 10)).toEqual([passage(FOOD)]);
      });
    });

    it('is known to every instance', async () => {
      await memory.remember(TASK, [passage(FLAGELLUM)]);
      const other = await harness.again();
      expect(await other.recall(TASK, 'eyespot', 5)).toEqual([passage(FLAGELLUM)]);
      await other.forget([TASK]);
      expect(await memory.recall(TASK, 'eyespot', 5)).toEqual([]);
    });

    it('answers a ping', () => expect(memory.ping()).resolves.toBeUndefined());
  });
}
