import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { EuglenaError } from '../../src/domain/errors.js';
import { parseAction } from '../../src/domain/parse-action.js';
import { OpenAiLanguageModel } from '../../src/ports/language-model/openai-language-model.js';
import { LIMITS } from '../support/agent-host.js';
import { ManualClock } from '../support/manual-clock.js';
import { type ModelScript, type ModelServer, startModelServer } from '../support/model-server.js';
import { languageModelContract, requestOf, situationOf } from './language-model.contract.js';

const KEY = 'sk-very-secret';

/** Lets the waits between tries pass at once and remembers them; the time limit of a call stands still. */
class PatientClock extends ManualClock {
  readonly waits: number[] = [];
  /** The task's own signal, by which waits between tries are told from the time limit of a call. */
  task: AbortSignal | null = null;

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const slept = super.sleep(ms, signal);
    if (signal === this.task) {
      this.waits.push(ms);
      queueMicrotask(() => this.advance(ms));
    }
    return slept;
  }
}

const wellBehaved: ModelScript = ({ body }) => {
  const schema = body.response_format?.json_schema?.schema as { properties: { action: { enum: string[] } } };
  const mustExit = schema.properties.action.enum.length === 1;
  return mustExit ? { action: 'EXIT', argument: 'eleven' } : { action: 'SEARCH', argument: 'workers' };
};

languageModelContract('OpenAI-compatible endpoint', async () => {
  const server = await startModelServer({ script: wellBehaved });
  const model = new OpenAiLanguageModel(
    { apiUrl: server.url, apiKey: null, name: 'test-model', ...LIMITS },
    new ManualClock(),
    () => 0,
  );
  return {
    model,
    close: async () => {
      await model.close();
      await server.close();
    },
  };
});

// What follows is the protocol's own: status codes, headers, response formats. No other model has them.
describe('an OpenAI-compatible endpoint', () => {
  let server: ModelServer;
  let model: OpenAiLanguageModel;
  let clock: PatientClock;

  beforeEach(() => Logger.overrideLogger(false));
  afterEach(async () => {
    await model.close();
    await server.close();
    expect(server.connections()).toBe(0);
  });

  const start = async (script: ModelScript) => {
    server = await startModelServer({ script });
    clock = new PatientClock();
    model = new OpenAiLanguageModel(
      { apiUrl: server.url, apiKey: KEY, name: 'test-model', ...LIMITS },
      clock,
      () => 0,
    );
  };
  const decide = (signal = new AbortController().signal) => {
    clock.task = signal;
    return model.decide(requestOf(situationOf(), signal));
  };
  const failure = async (signal?: AbortSignal): Promise<EuglenaError> => {
    const error: unknown = await decide(signal).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof EuglenaError)) throw new Error(`no EuglenaError: ${String(error)}`);
    expect(`${error.message} ${error.stack ?? ''}`).not.toContain(KEY);
    expect(error.cause).toBeUndefined();
    return error;
  };

  it('sends the conversation, the model, the key and the strict schema', async () => {
    await start(() => ({ action: 'SEARCH', argument: 'a', thought: 'why' }));
    const reply = await decide();
    expect(reply).toEqual({
      outcome: 'said',
      text: '{"thought":"why","action":"SEARCH","argument":"a"}',
      promptTokens: 100,
      completionTokens: 20,
      calls: 1,
    });
    const [call] = server.calls;
    expect(call?.headers.authorization).toBe(`Bearer ${KEY}`);
    expect(call?.body).toMatchObject({ model: 'test-model', response_format: { type: 'json_schema' } });
    expect(call?.messages).toEqual(requestOf(situationOf()).messages);
  });

  it.each([408, 409, 429, 500, 502, 503, 529])(
    'tries again after a %i, waiting longer each time',
    async (status) => {
      await start(({ callNumber }) => (callNumber <= 4 ? { status } : { action: 'EXIT', argument: 'ok' }));
      expect(await decide()).toMatchObject({ calls: 5 });
      expect(clock.waits).toEqual([500, 1_000, 2_000, 4_000]);
    },
  );

  it('gives up after five tries', async () => {
    await start(() => ({ status: 500, body: { error: { message: `key ${KEY} broke` } } }));
    const error = await failure();
    expect(error).toMatchObject({
      code: 'model_unavailable',
      message: expect.stringContaining('status 500'),
    });
    expect(server.calls).toHaveLength(5);
  });

  it.each([
    ['5', 5_000],
    ['Thu, 15 Jan 2026 12:00:07 GMT', 7_000],
    ['3600', 60_000],
    ['Wed, 14 Jan 2026 12:00:00 GMT', 0],
    ['soon', 500],
  ])('waits as Retry-After %p tells', async (header, ms) => {
    await start(({ callNumber }) =>
      callNumber === 1
        ? { status: 429, headers: { 'retry-after': header } }
        : { action: 'EXIT', argument: 'ok' },
    );
    expect(await decide()).toMatchObject({ calls: 2 });
    expect(clock.waits).toEqual([ms]);
  });

  it('spends no more than its budget of three minutes on waiting', async () => {
    await start(() => ({ status: 429, headers: { 'retry-after': '60' } }));
    expect(await failure()).toMatchObject({ code: 'model_unavailable', retryAfterSeconds: 60 });
    expect(clock.waits).toEqual([60_000, 60_000]);
  });

  it.each([401, 403, 404])('does not try again after a %i', async (status) => {
    await start(() => ({ status, body: { error: { message: `Incorrect API key provided: ${KEY}` } } }));
    const error = await failure();
    expect(error).toMatchObject({ code: 'model_rejected', message: expect.stringContaining(String(status)) });
    expect(server.calls).toHaveLength(1);
  });

  it.each([
    ['HTML', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>Login</html>' }],
    ['HTML that is called JSON', { status: 200, body: '<html>Login</html>' }],
    ['another object', { status: 200, body: { error: { message: 'overloaded' } } }],
    ['no choices', { status: 200, body: { choices: [] } }],
    ['nothing', { status: 204 }],
    ['10 MB', { status: 200, body: { choices: [{ message: { content: 'x'.repeat(10_000_000) } }] } }],
    ['a body that breaks off', 'cut' as const],
  ])('tries again after an answer of %s', async (_what, bad) => {
    await start(({ callNumber }) => (callNumber === 1 ? bad : { action: 'EXIT', argument: 'ok' }));
    expect(await decide()).toMatchObject({ calls: 2 });
  });

  it('is unavailable when nothing listens', async () => {
    await start(() => 'hang');
    await server.close();
    expect(await failure()).toMatchObject({ code: 'model_unavailable' });
    server = await startModelServer();
  });

  it.each(['hang', 'slow'] as const)('ends a call that takes longer than two minutes: %s', async (bad) => {
    await start(({ callNumber }) => (callNumber === 1 ? bad : { action: 'EXIT', argument: 'ok' }));
    const reply = decide();
    await server.called(1);
    clock.advance(120_000);
    expect(await reply).toMatchObject({ calls: 2 });
  });

  it('aborts the call in flight', async () => {
    await start(() => 'hang');
    const abort = new AbortController();
    const reply = decide(abort.signal);
    await server.called(1);
    const reason = new Error('cancelled');
    abort.abort(reason);
    await expect(reply).rejects.toBe(reason);
    expect(server.calls).toHaveLength(1);
  });

  it('aborts the wait between tries', async () => {
    const abort = new AbortController();
    const reason = new Error('lease lost');
    await start(() => ({ status: 503 }));
    const waiting = new ManualClock();
    const other = new OpenAiLanguageModel(
      { apiUrl: server.url, apiKey: null, name: 'm', ...LIMITS },
      waiting,
      () => 0,
    );
    const sleep = waiting.sleep.bind(waiting);
    waiting.sleep = (ms, signal) => {
      const slept = sleep(ms, signal);
      if (ms < 60_000) queueMicrotask(() => abort.abort(reason));
      return slept;
    };
    await expect(other.decide(requestOf(situationOf(), abort.signal))).rejects.toBe(reason);
    await other.close();
    expect(server.calls).toHaveLength(1);
  });

  it('falls back to what the endpoint understands, and remembers it', async () => {
    await start(({ body }) => {
      const type = body.response_format?.type;
      if (type === 'json_schema') return { status: 400, body: { error: { message: 'unknown field' } } };
      if (type === 'json_object')
        return { status: 422, body: { detail: 'response_format is not supported' } };
      return { action: 'EXIT', argument: 'ok' };
    });
    expect(await decide()).toMatchObject({ calls: 3 });
    expect(await decide()).toMatchObject({ calls: 1 });
    expect(server.calls.at(-1)?.body).not.toHaveProperty('response_format');
  });

  it.each([400, 422])('does not blame the format for a %i that no format cures', async (status) => {
    let broken = true;
    await start(() => (broken ? { status } : { action: 'EXIT', argument: 'ok' }));
    expect(await failure()).toMatchObject({ code: 'model_rejected' });
    broken = false;
    await decide();
    expect(server.calls.at(-1)?.body.response_format?.type).toBe('json_schema');
    broken = true;
    const before = server.calls.length;
    await failure();
    expect(server.calls.length - before).toBe(1);
  });

  it.each([
    ['no text', { text: '' }, 'said'],
    ['a cut reply', { text: 'ACTION: EXIT half an ans', finishReason: 'length' }, 'cut'],
    ['a refusal', { refusal: 'I cannot help with that.' }, 'refused'],
    ['a filtered reply', { text: 'ACTION: EXIT it', finishReason: 'content_filter' }, 'refused'],
    [
      'a filtered request',
      { status: 400, body: { error: { code: 'content_filter', message: 'no' } } },
      'refused',
    ],
  ])('takes %s for no action', async (_what, said, outcome) => {
    await start(() => said);
    const reply = await decide();
    expect(reply).toMatchObject({ outcome, text: '', calls: 1 });
    expect(parseAction(reply.text).kind).toBe('unparseable');
  });

  it.each([
    [400, { error: { code: 'context_length_exceeded', message: 'too much', param: 'messages' } }],
    [
      400,
      {
        error: {
          message: "This model's maximum context length is 8192 tokens. However, you requested 9000.",
        },
      },
    ],
    [400, { object: 'error', message: "This model's maximum context length is 4096 tokens", code: 400 }],
    [400, { error: { code: 400, message: 'the request exceeds the available context size' } }],
    [500, { error: { code: 500, message: 'try again', type: 'exceed_context_size_error' } }],
    [422, { error: 'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096' }],
    [400, { error: { message: 'Please reduce the length of the messages or completion.' } }],
    [400, { error: { message: 'prompt is too long: 213462 tokens > 200000 maximum' } }],
    [413, {}],
    [200, { error: 'The initial prompt is greater than the context length' }],
  ])('knows by a %i that the request is too long: %j', async (status, body) => {
    await start(() => ({ status, body }));
    expect(await decide()).toMatchObject({ outcome: 'too_long', text: '', calls: 1 });
  });

  it('names limit and temperature as the endpoint understands them, and remembers how', async () => {
    await start(({ body }) => {
      const refuse = (message: string) => ({ status: 400, body: { error: { message } } });
      if ('max_tokens' in body) return refuse("'max_tokens' is not supported; use 'max_completion_tokens'.");
      if ('temperature' in body) return refuse("'temperature' does not support 0.2 with this model.");
      return { action: 'EXIT', argument: 'ok' };
    });
    await model.close();
    const endpoint = { apiUrl: server.url, apiKey: KEY, name: 'm', ...LIMITS, temperature: 0.2 };
    model = new OpenAiLanguageModel(endpoint, clock, () => 0);
    expect(await decide()).toMatchObject({ calls: 3 });
    expect(server.calls[0]?.body).toMatchObject({ max_tokens: 4_096, temperature: 0.2 });
    expect(server.calls[2]?.body).toMatchObject({
      max_completion_tokens: 4_096,
      response_format: { type: 'json_schema' },
    });
    expect(await decide()).toMatchObject({ calls: 1 });
  });

  it('is asked for data in its schema, which must be there with the last answer', async () => {
    await start(wellBehaved);
    const outputSchema = {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      title: 'T',
    };
    const ask = async (more: object) => {
      await model.decide(requestOf(situationOf({ outputSchema, ...more })));
      return server.calls.at(-1)?.body.response_format?.json_schema;
    };
    expect(await ask({})).toMatchObject({
      strict: false,
      schema: {
        properties: { data: { type: 'object', title: 'T' } },
        required: ['thought', 'action', 'argument'],
      },
    });
    expect(await ask({ mustExit: true })).toMatchObject({
      schema: { required: expect.arrayContaining(['data']) },
    });
    const referring = { type: 'object', $defs: { a: {} }, properties: { a: { $ref: '#/$defs/a' } } };
    expect(await ask({ outputSchema: referring })).toMatchObject({
      schema: { properties: { data: { type: 'object' } } },
    });
  });

  it("does not take a refused schema of a user's for a refusal of all schemas", async () => {
    await start(({ body }) => {
      const { strict } = body.response_format?.json_schema ?? {};
      if (strict === false)
        return { status: 400, body: { error: { message: 'json_schema: unknown keyword' } } };
      return { action: 'EXIT', argument: 'ok' };
    });
    expect(await model.decide(requestOf(situationOf({ outputSchema: { type: 'object' } })))).toMatchObject({
      calls: 2,
    });
    expect(await decide()).toMatchObject({ calls: 1 });
    expect(server.calls.at(-1)?.body.response_format?.type).toBe('json_schema');
  });

  it('leaves room for the reply, and counts tokens of any text in little time', async () => {
    await start(() => 'hang');
    expect(model.roomTokens).toBe(12_288);
    expect(model.countTokens('How does Euglena gracilis swim?')).toBe(9);
    expect(model.countTokens('<|endoftext|>')).toBeGreaterThan(1);
    const begin = performance.now();
    for (const text of ['a', ' ', '\u6f22', '\ud83e\udda0', '\ud800']) {
      const count = model.countTokens(text.repeat(100_000));
      expect(count).toBeLessThanOrEqual(Buffer.byteLength(text) * 100_000);
    }
    expect(performance.now() - begin).toBeLessThan(3_000);
  });

  it.each([
    null,
    'many',
    [],
    { prompt_tokens: -5, completion_tokens: 'NaN' },
    { prompt_tokens: 1e300, completion_tokens: 0.5 },
    { prompt_tokens: null },
  ])('counts nonsense in usage as nothing: %j', async (usage) => {
    await start(() => ({ action: 'EXIT', argument: 'ok', usage }));
    expect(await decide()).toMatchObject({ promptTokens: 0, completionTokens: 0 });
  });
});
