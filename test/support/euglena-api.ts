import { EventStreamParser } from '../../src/cli/event-stream.js';
import { entryFromJson, findBreak, type JournalEntry } from '../../src/domain/journal.js';
import { type taskToApi } from '../../src/domain/task.js';

export type ApiTask = ReturnType<typeof taskToApi>;

/** The HTTP API of a gateway as one user sees it. */
export class EuglenaApi {
  constructor(
    private readonly url: string,
    private readonly token: string,
  ) {}

  /** Any request, answered as it is. */
  request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${this.token}`, ...init.headers };
    return fetch(`${this.url}${path}`, { ...init, headers });
  }

  /** Hands a mandate in; the answer must be 202. */
  async submit(mandate: string, maxTicks = 10): Promise<{ id: string; location: string | null }> {
    const response = await this.request('/tasks', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ mandate, max_ticks: maxTicks }),
    });
    if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`);
    const task = (await response.json()) as ApiTask;
    return { id: task.correlation_id, location: response.headers.get('location') };
  }

  /** Hands several mandates in at once; their ids. */
  async submitAll(mandates: readonly string[]): Promise<string[]> {
    return (await Promise.all(mandates.map((mandate) => this.submit(mandate)))).map(({ id }) => id);
  }

  task(id: string): Promise<ApiTask> {
    return this.json(`/tasks/${id}`);
  }

  cancel(id: string): Promise<ApiTask> {
    return this.json(`/tasks/${id}/cancel`, { method: 'POST' });
  }

  async quotaUsed(): Promise<number> {
    return (await this.json<{ used: number }>('/quota')).used;
  }

  async agents(): Promise<number> {
    return (await this.json<{ count: number }>('/agents/count')).count;
  }

  /**
   * Follows the journal to the first entry of type `until`, or to its end (`until` null). Fails when an entry is none or its chain
   * does not hold.
   */
  async journal(id: string, until: JournalEntry['type'] | null = 'finished'): Promise<JournalEntry[]> {
    const response = await this.request(`/tasks/${id}/events`);
    if (response.status !== 200 || response.body === null) throw new Error(`${response.status}`);
    const parser = new EventStreamParser();
    const entries: JournalEntry[] = [];
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      for (const { data } of parser.push(text)) {
        const entry = entryFromJson(JSON.parse(data));
        if (entry === null) throw new Error(`no journal entry: ${data}`);
        entries.push(entry);
      }
      if (entries.some(({ type }) => type === until)) break;
    }
    const broken = findBreak(entries);
    if (broken !== null) throw new Error(`the chain breaks at ${JSON.stringify(broken)}`);
    return entries;
  }

  private async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await this.request(path, init);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }
}
