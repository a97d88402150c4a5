import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parseAction } from '../../src/domain/parse-action.js';
import { type Situation } from '../../src/domain/situation.js';
import { type LanguageModel } from '../../src/ports/language-model/language-model.port.js';

export interface Harness {
  readonly model: LanguageModel;
  close(): Promise<void>;
}

/** What is known before the first tick, with `changes`. */
export function situationOf(changes: Partial<Situation> = {}): Situation {
  return {
    mandate: 'How many workers run at most?',
    outputSchema: null,
    tick: 1,
    maxTicks: 10,
    mustExit: false,
    history: [],
    sources: [],
    recalled: [],
    ...changes,
  };
}

/** A request as the tick loop makes it. */
export function requestOf(situation: Situation, signal: AbortSignal = new AbortController().signal) {
  const rules = 'Answer with JSON: {"thought","action","argument"}.';
  return {
    situation,
    messages: [
      { role: 'system' as const, content: rules },
      { role: 'user' as const, content: situation.mandate },
    ],
    signal,
  };
}

/** What every language model keeps, whether a program or a service. */
export function languageModelContract(name: string, open: () => Promise<Harness>): void {
  describe(`language model: ${name}`, () => {
    let harness: Harness;
    beforeEach(async () => {
      harness = await open();
    });
    afterEach(() => harness.close());

    it('has a name that users can read', () => {
      expect(harness.model.name.trim()).not.toBe('');
    });

    it('decides an action that the parser reads', async () => {
      const reply = await harness.model.decide(requestOf(situationOf()));
      expect(parseAction(reply.text)).toMatchObject({ kind: 'action', extraActions: 0 });
    });

    it('exits on the last tick', async () => {
      const last = situationOf({ tick: 10, mustExit: true });
      const reply = await harness.model.decide(requestOf(last));
      expect(parseAction(reply.text)).toMatchObject({ kind: 'action', action: { name: 'EXIT' } });
    });

    it('counts calls and tokens as whole numbers', async () => {
      const reply = await harness.model.decide(requestOf(situationOf()));
      expect(reply.calls).toBeGreaterThanOrEqual(1);
      for (const count of [reply.calls, reply.promptTokens, reply.completionTokens]) {
        expect(Number.isSafeInteger(count) && count >= 0).toBe(true);
      }
    });

    it('decides for many tasks at a time', async () => {
      const decisions = Array.from({ length: 16 }, () => harness.model.decide(requestOf(situationOf())));
      for (const { text } of await Promise.all(decisions)) expect(parseAction(text).kind).toBe('action');
    });

    it('takes a mandate of any characters', async () => {
      for (const mandate of ['?', '🦠 שלום', '\u0000\ud800', '"}{', 'word '.repeat(10_000)]) {
        const reply = await harness.model.decide(requestOf(situationOf({ mandate })));
        expect(parseAction(reply.text).kind).toBe('action');
      }
    });

    it("rejects with the signal's reason when it is aborted already", async () => {
      const reason = new Error('cancelled');
      const request = requestOf(situationOf(), AbortSignal.abort(reason));
      await expect(harness.model.decide(request)).rejects.toBe(reason);
    });

    it('answers a ping', async () => {
      await expect(harness.model.ping()).resolves.toBeUndefined();
    });

    it('closes more than once', async () => {
      await harness.model.close();
      await expect(harness.model.close()).resolves.toBeUndefined();
    });
  });
}
