import { z } from 'zod';
import { type Clock } from '../domain/clock.js';
import { entryFromJson, type JournalEntry } from '../domain/journal.js';
import { VISIBLE_STATUSES } from '../domain/task.js';
import { CommandError } from './command.js';
import { EventStreamParser } from './event-stream.js';

/** How long an answer may take, in ms. Event streams may take any time. */
const ANSWER_TIMEOUT_MS = 30_000;
/** How often in a row a cut event stream is taken up again without anything new. */
const RECONNECTS_MAX = 10;
const RECONNECT_MS = 2_000;

const taskShape = z.looseObject({
  correlation_id: z.string(),
  status: z.enum(VISIBLE_STATUSES),
  mandate: z.string(),
  max_ticks: z.number(),
  tick: z.number(),
  result: z
    .looseObject({
      answer: z.string(),
      exit_reason: z.string(),
      sources: z.array(z.looseObject({ id: z.string(), url: z.string(), title: z.string() })),
      unsupported: z.array(z.string()).default([]),
      data: z.record(z.string(), z.unknown()).nullable().default(null),
      data_error: z.string().nullable().default(null),
      model: z.string(),
      receipt: z.string(),
    })
    .nullable(),
  error: z.looseObject({ code: z.string(), message: z.string() }).nullable(),
  usage: z.looseObject({
    ticks: z.number(),
    model_calls: z.number().optional(),
    prompt_tokens: z.number().optional(),
    completion_tokens: z.number().optional(),
  }),
});
/** A task as the API shows it. Fields of a newer server are kept. */
export type ApiTask = z.infer<typeof taskShape>;

/** A task as the API shows it; null when it is none. */
export function readTask(json: unknown): ApiTask | null {
  return taskShape.safeParse(json).data ?? null;
}

const problemShape = z.object({
  title: z.string().optional(),
  detail: z.string().optional(),
  errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
});

/** The server's no, or its failure, in its own words. */
class Refusal extends CommandError {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

/** The connection failed, before or while the server answered. */
class Disconnected extends CommandError {}

/** A gateway's HTTP API. Every failure is a {@link CommandError}; an aborted signal throws its reason. */
export class ApiClient {
  constructor(
    private readonly url: string,
    private readonly token: string,
    private readonly clock: Clock,
  ) {}

  async submit(
    mandate: string,
    maxTicks: number | undefined,
    outputSchema: object | undefined,
  ): Promise<ApiTask> {
    const body = JSON.stringify({ mandate, max_ticks: maxTicks, output_schema: outputSchema });
    return this.task('/tasks', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
  }

  async find(id: string): Promise<ApiTask> {
    return this.task(`/tasks/${encodeURIComponent(id)}`, {});
  }

  async cancel(id: string): Promise<ApiTask> {
    return this.task(`/tasks/${encodeURIComponent(id)}/cancel`, { method: 'POST' });
  }

  async extend(id: string, ticks: number): Promise<ApiTask> {
    return this.task(`/tasks/${encodeURIComponent(id)}/extend`, {
      method: 'POST',
      body: JSON.stringify({ ticks }),
      headers: { 'content-type': 'application/json' },
    });
  }

  /** The whole journal, then each entry as it is written, until the task has ended; over as many connections as it takes. */
  async *follow(id: string, signal?: AbortSignal): AsyncGenerator<JournalEntry> {
    const resume = { lastEventId: '', retryMs: RECONNECT_MS };
    let failures = 0;
    for (let connected = false; ; connected = true) {
      let last: JournalEntry | undefined;
      try {
        const body = await this.openEvents(id, resume.lastEventId, signal);
        if (body === null) return;
        for await (const entry of entriesOf(body, resume)) {
          last = entry;
          yield entry;
        }
      } catch (error) {
        signal?.throwIfAborted();
        if (!isPassing(error) || (!connected && last === undefined)) throw error;
        if (failures >= RECONNECTS_MAX) throw error;
      }
      failures = last === undefined ? failures + 1 : 0;
      if (failures > RECONNECTS_MAX)
        throw new Disconnected(`${this.url} ends the stream of events again and again.`);
      // Behind the last entry the server says so at once (204); otherwise it asked for a pause.
      if (last?.type !== 'finished') await this.clock.sleep(resume.retryMs, signal);
    }
  }

  /** Null when the task has ended and everything is known. */
  private async openEvents(
    id: string,
    lastEventId: string,
    signal: AbortSignal | undefined,
  ): Promise<ReadableStream<Uint8Array> | null> {
    const response = await this.fetch(`/tasks/${encodeURIComponent(id)}/events`, {
      headers: {
        accept: 'text/event-stream',
        ...(lastEventId === '' ? {} : { 'last-event-id': lastEventId }),
      },
      ...(signal === undefined ? {} : { signal }),
    });
    return response.status === 204 ? null : response.body;
  }

  private async task(path: string, init: RequestInit): Promise<ApiTask> {
    const response = await this.fetch(path, { ...init, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    const task = readTask(await response.json().catch(() => null));
    if (task !== null) return task;
    throw new CommandError(`What answers at ${this.url} does not speak like a Euglena gateway.`);
  }

  private async fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = { ...(init.headers as Record<string, string>), authorization: `Bearer ${this.token}` };
    let response: Response;
    try {
      response = await fetch(`${this.url}${path}`, { ...init, headers, redirect: 'error' });
    } catch (error) {
      throw new Disconnected(this.unreachable(error), { cause: error });
    }
    if (response.ok) return response;
    throw new Refusal(response.status, await problemOf(response));
  }

  private unreachable(error: unknown): string {
    if (codeOf(error) === 'ECONNREFUSED') {
      return `Nothing listens at ${this.url}. Start a gateway with "euglena up", or name another one with --url.`;
    }
    const timedOut = (error as { name?: unknown } | null)?.name === 'TimeoutError';
    return timedOut
      ? `${this.url} did not answer within ${ANSWER_TIMEOUT_MS / 1_000} seconds.`
      : `${this.url} cannot be reached (${codeOf(error) ?? 'the connection failed'}).`;
  }
}

async function* entriesOf(
  body: ReadableStream<Uint8Array>,
  resume: { lastEventId: string; retryMs: number },
): AsyncGenerator<JournalEntry> {
  const parser = new EventStreamParser();
  const decoder = new TextDecoder();
  try {
    for await (const chunk of body) {
      for (const event of parser.push(decoder.decode(chunk, { stream: true }))) {
        const entry = entryFromJson(jsonOf(event.data));
        if (entry === null) throw new CommandError('The journal has an entry that cannot be read.');
        resume.lastEventId = String(entry.seq);
        yield entry;
      }
      resume.retryMs = parser.retryMs ?? resume.retryMs;
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new Disconnected('The stream of events was cut.', { cause: error });
  }
}

/** Whether connecting again can help. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof Disconnected || (error instanceof Refusal && [429, 502, 503, 504].includes(error.status))
  );
}

async function problemOf(response: Response): Promise<string> {
  const problem = problemShape.safeParse(jsonOf(await response.text().catch(() => '')));
  const fallback = `The server answered ${response.status}.`;
  if (!problem.success) return fallback;
  const { title, detail, errors = [] } = problem.data;
  const fields = errors.map(({ field, message }) => `${field} ${message}`).join('; ');
  return [detail ?? title ?? fallback, fields].filter((part) => part !== '').join(' ');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The system's code below a failed fetch: `ECONNREFUSED`, `ENOTFOUND`, … */
function codeOf(error: unknown): string | undefined {
  const code = (error as { cause?: { code?: unknown } } | null)?.cause?.code;
  return typeof code === 'string' ? code : undefined;
}
