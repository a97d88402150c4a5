import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type AgentFolder, agentFolder, AgentHost } from '../../test/support/agent-host.js';
import { except } from '../../test/support/gateway-engines.js';
import { type ModelScript, type ModelServer, startModelServer } from '../../test/support/model-server.js';
import { findBreak, sha256 } from '../domain/journal.js';
import { type AgentMemory } from '../ports/agent-memory/agent-memory.port.js';

/** Says these one after another, then EXIT. */
const saying =
  (...actions: { action: string; argument: string }[]): ModelScript =>
  ({ callNumber }) =>
    actions[callNumber - 1] ?? { action: 'EXIT', argument: 'It swims with a flagellum [s1].' };

const SEARCH = { action: 'SEARCH', argument: 'euglena swims' };
const VISIT = { action: 'VISIT', argument: 'corpus:euglena.md' };
const THINK = { action: 'THINK', argument: 'It has a flagellum.' };

describe('a run of a task', () => {
  let folder: AgentFolder;
  let host: AgentHost;
  let server: ModelServer | undefined;
  beforeEach(() => {
    folder = agentFolder();
  });
  afterEach(async () => {
    await host.close();
    await server?.close();
    server = undefined;
    folder.remove();
  });

  const run = async (script: ModelScript, maxTicks = 10, memory?: (real: AgentMemory) => AgentMemory) => {
    server = await startModelServer({ script });
    host = new AgentHost(folder, server.url);
    await host.startWorker(memory ? { memory: memory(host.memory) } : {});
    await host.submit('t1', maxTicks);
    return host.ended('t1');
  };
  const observations = async () =>
    (await host.journal('t1')).filter(({ type }) => type === 'observation').map(({ data }) => data);

  it('searches, reads, and answers with the sources that it cites', async () => {
    const task = await run(saying(SEARCH, VISIT));
    expect(task).toMatchObject({ status: 'completed', tick: 3, usage: { ticks: 3, modelCalls: 3 } });
    expect(task.usage).toMatchObject({ promptTokens: 300, completionTokens: 60 });
    expect(task.result).toMatchObject({
      answer: 'It swims with a flagellum [s1].',
      exitReason: 'answered',
      model: 'scripted',
      sources: [{ id: 's1', url: 'corpus:euglena.md' }],
      unsupported: [],
      receipt: task.head.hash,
    });
    const journal = await host.journal('t1');
    expect(findBreak(journal)).toBeNull();
    expect(journal.map(({ type }) => type)).toEqual([
      'submitted',
      'accepted',
      'tick',
      'observation',
      'tick',
      'observation',
      'tick',
      'finished',
    ]);
    expect(server?.calls[2]?.messages.some(({ content }) => content.includes('From memory'))).toBe(true);
  });

  it('works offline with the extractive model', async () => {
    host = new AgentHost(folder, null);
    await host.startWorker();
    await host.submit('t1');
    const task = await host.ended('t1');
    expect(task).toMatchObject({ status: 'completed', result: { exitReason: 'answered' } });
    expect(task.result?.answer).toMatch(/flagellum.*\[s1\]/s);
  });

  it.each([1, 4])('ends a budget of %d ticks that the model never ends', async (maxTicks) => {
    const task = await run(
      ({ callNumber }) => ({ action: 'THINK', argument: `note ${callNumber}` }),
      maxTicks,
    );
    expect(task).toMatchObject({ status: 'completed', tick: maxTicks, usage: { ticks: maxTicks } });
    expect(task.result?.exitReason).toBe('max_ticks');
    if (maxTicks > 1) expect(task.result?.answer).toContain(`note ${maxTicks - 1}`);
    expect(server?.calls).toHaveLength(maxTicks);
  });

  it('fails after three ticks that could not be read, each asked about twice', async () => {
    const task = await run(() => ({ text: 'lalala' }));
    expect(task).toMatchObject({ status: 'error', error: { code: 'model_unparseable' } });
    expect(task.usage).toMatchObject({ ticks: 3, modelCalls: 6 });
  });

  it('goes on when the second reply of a tick can be read', async () => {
    const task = await run(({ callNumber }) =>
      callNumber === 1 ? { text: 'lalala' } : { action: 'EXIT', argument: 'fine' },
    );
    expect(task).toMatchObject({ status: 'completed', usage: { ticks: 1, modelCalls: 2 } });
    expect(server?.calls[1]?.messages.at(-1)?.content).toContain('cannot be taken: there is no action');
  });

  it('asks once more in the same tick when an answer cites what was not read', async () => {
    const wrong = { action: 'EXIT', argument: 'It swims [s7]. It eats [s1].' };
    const task = await run(saying(VISIT, wrong));
    expect(server?.calls[2]?.messages.at(-1)?.content).toContain(
      'it cites s7, but the documents that were read are s1',
    );
    expect(task).toMatchObject({ tick: 2, usage: { ticks: 2, modelCalls: 3 } });
    expect(task.result).toMatchObject({ answer: 'It swims with a flagellum [s1].', unsupported: [] });
  });

  it('removes what was not read from an answer that cites it again, and marks the sentence', async () => {
    const task = await run(({ callNumber }) =>
      callNumber === 1 ? VISIT : { action: 'EXIT', argument: 'It swims [s7]. It eats [s1].' },
    );
    expect(task).toMatchObject({ tick: 2, usage: { modelCalls: 3 } });
    expect(task.result).toMatchObject({
      answer: 'It swims. It eats [s1].',
      unsupported: ['It swims.'],
      sources: [{ id: 's1' }],
    });
  });

  it('keeps an answer that cites too much when the model goes away before it can better it', async () => {
    const task = await run(({ callNumber }) => {
      if (callNumber === 1) return VISIT;
      return callNumber === 2 ? { action: 'EXIT', argument: 'It swims [s7].' } : { status: 401 };
    });
    expect(task).toMatchObject({ status: 'completed', usage: { ticks: 2, modelCalls: 3 } });
    expect(task.result).toMatchObject({ answer: 'It swims.', unsupported: ['It swims.'] });
  });

  describe('whose request is too long for the model', () => {
    const LIMIT = 1_700;
    const tooLong = {
      status: 400,
      body: { error: { code: 'context_length_exceeded', message: 'too long' } },
    };
    const length = (call: { messages: readonly { content: string }[] }) =>
      call.messages.reduce((sum, { content }) => sum + content.length, 0);
    const holding =
      (chars: number, script: ModelScript): ModelScript =>
      (call) =>
        length(call) > chars ? tooLong : script(call);

    it('shortens it within the tick, and asks no longer ones afterwards', async () => {
      let answered = 0;
      const told = [VISIT, { action: 'VISIT', argument: 'corpus:paramecium.md' }, THINK, SEARCH];
      const task = await run(holding(LIMIT, () => told[answered++] ?? { action: 'EXIT', argument: 'ok' }));
      expect(task).toMatchObject({ status: 'completed', usage: { ticks: 5 }, result: { answer: 'ok' } });
      const lengths = server?.calls.map(length) ?? [];
      const refused = lengths.filter((chars) => chars > LIMIT).length;
      expect(refused).toBe(1);
      expect(task.usage.modelCalls).toBe(5 + refused);
    });

    it('ends when not even the mandate fits', async () => {
      const task = await run(() => tooLong);
      expect(task).toMatchObject({ status: 'error', error: { code: 'model_context_exceeded' } });
      expect(task.usage).toMatchObject({ ticks: 0, modelCalls: 1 });
    });
  });

  describe('whose model declines', () => {
    const no = { refusal: 'I cannot help with that.' };

    it('ends cleanly, and counts what that took', async () => {
      const task = await run(() => no);
      expect(task).toMatchObject({ status: 'error', error: { code: 'model_refused' }, tick: 0 });
      expect(task.usage).toEqual({ ticks: 0, modelCalls: 1, promptTokens: 100, completionTokens: 20 });
      const { data } = (await host.journal('t1')).at(-1) ?? {};
      expect(data).toMatchObject({ unticked: { model_calls: 1, prompt_tokens: 100, completion_tokens: 20 } });
    });

    it('is asked again without the pages that were read', async () => {
      const task = await run(({ callNumber, messages }) => {
        if (callNumber === 1) return VISIT;
        const seesPage = messages.some(({ content }) => content.includes('gracilis swims with'));
        return seesPage ? no : { action: 'EXIT', argument: 'It is in the document [s1].' };
      });
      expect(task).toMatchObject({ status: 'completed', usage: { ticks: 2, modelCalls: 3 } });
    });

    it('gives what is known when it was the last tick', async () => {
      const task = await run(({ callNumber }) => (callNumber === 1 ? VISIT : no), 2);
      expect(task).toMatchObject({ status: 'completed', result: { exitReason: 'max_ticks' } });
      expect(task.usage).toMatchObject({ ticks: 1, modelCalls: 3 });
    });
  });

  describe('with a schema for its data', () => {
    const SCHEMA = { type: 'object', properties: { organ: { type: 'string' } }, required: ['organ'] };
    const answering = (data?: unknown) => ({
      text: JSON.stringify({ action: 'EXIT', argument: 'Yes.', data }),
    });
    const runWithSchema = async (script: ModelScript, maxTicks = 10) => {
      server = await startModelServer({ script });
      host = new AgentHost(folder, server.url);
      await host.startWorker();
      await host.submit('t1', maxTicks, true, SCHEMA);
      return host.ended('t1');
    };

    it('gives data that follows it, and the receipt covers it', async () => {
      const task = await runWithSchema(() => answering({ organ: 'flagellum' }));
      expect(task).toMatchObject({ status: 'completed', usage: { ticks: 1, modelCalls: 1 } });
      expect(task.result).toMatchObject({ answer: 'Yes.', data: { organ: 'flagellum' }, dataError: null });
      const [tick, finished] = (await host.journal('t1')).slice(-2);
      expect(tick?.data).toMatchObject({ action: 'EXIT', data: { organ: 'flagellum' } });
      expect(finished?.data.data_sha256).toBe(sha256('{"organ":"flagellum"}'));
      const [call] = server?.calls ?? [];
      expect(call?.messages.some(({ content }) => content.includes(JSON.stringify(SCHEMA)))).toBe(true);
      expect(call?.body.response_format?.json_schema?.schema).toMatchObject({ properties: { data: SCHEMA } });
    });

    it('is asked once more for data that does not follow it', async () => {
      const task = await runWithSchema(({ callNumber }) =>
        answering(callNumber === 1 ? {} : { organ: 'eye' }),
      );
      expect(task).toMatchObject({ usage: { ticks: 1, modelCalls: 2 }, result: { data: { organ: 'eye' } } });
      expect(server?.calls[1]?.messages.at(-1)?.content).toContain('"data" must follow the JSON Schema');
    });

    it.each([
      [{ organ: 5 }, '#/organ'],
      ['{}', '#'],
      [[], '#'],
      [undefined, 'there is no data'],
    ])('says why there is none: %j', async (data, reason) => {
      const task = await runWithSchema(() => answering(data));
      expect(task).toMatchObject({ status: 'completed', usage: { ticks: 1, modelCalls: 2 } });
      expect(task.result).toMatchObject({ answer: 'Yes.', data: null });
      expect(task.result?.dataError).toContain(reason);
    });

    it('says why there is none when the model never answers', async () => {
      const task = await runWithSchema(
        ({ callNumber }) => ({ action: 'THINK', argument: `${callNumber}` }),
        2,
      );
      expect(task.result).toMatchObject({
        exitReason: 'max_ticks',
        data: null,
        dataError: 'there is no data',
      });
    });
  });

  it('fails at once when the model refuses the key', async () => {
    const task = await run(() => ({ status: 401 }));
    expect(task).toMatchObject({ status: 'error', tick: 0, error: { code: 'model_rejected' } });
    expect(server?.calls).toHaveLength(1);
  });

  it('gives what is known when the model goes away on the last tick', async () => {
    const task = await run(({ callNumber }) => (callNumber === 1 ? VISIT : { status: 401 }), 2);
    expect(task).toMatchObject({ status: 'completed', result: { exitReason: 'max_ticks' } });
    expect(task.result?.answer).toContain('flagellum');
    expect(task.result?.sources).toHaveLength(1);
  });

  it('answers a repeated action from what it brought before', async () => {
    await run(saying(VISIT, THINK, VISIT));
    const [first, , again] = await observations();
    expect(again?.text).toContain('This was done in tick 1 already');
    expect(again?.text).toContain(first?.text);
    expect(again?.source).toBeUndefined();
  });

  it('tries a failed action again when it is repeated', async () => {
    const missing = { action: 'VISIT', argument: 'corpus:none.md' };
    await run(saying(missing, missing));
    const texts = (await observations()).map(({ text }) => text);
    expect(texts).toEqual(Array(2).fill('There is no such document in the corpus.'));
  });

  it('leaves only EXIT after five equal actions', async () => {
    const task = await run(() => SEARCH, 50);
    expect(task).toMatchObject({ status: 'completed', usage: { ticks: 6 } });
    expect(server?.calls[4]?.messages.at(-1)?.content).not.toContain('You must EXIT now');
    expect(server?.calls[5]?.messages.at(-1)?.content).toContain('You must EXIT now');
  });

  it('completes without its memory, and says that it had none', async () => {
    const task = await run(saying(VISIT, THINK), 10, (real) =>
      except(real, { remember: () => Promise.reject(new Error('down')) }),
    );
    expect(task).toMatchObject({ status: 'completed', result: { sources: [{ id: 's1' }] } });
    expect((await observations()).map(({ memory }) => memory)).toContain('unavailable');
  });
});
