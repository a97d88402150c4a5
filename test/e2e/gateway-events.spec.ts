import { once } from 'node:events';
import { type ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { entryFromJson, findBreak, type JournalEntry } from '../../src/domain/journal.js';
import { completion, workerChange } from '../../src/domain/task-change.js';
import { EventsService } from '../../src/gateway/events.service.js';
import { TASK_STORE, type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { EventStreamParser } from '../../src/cli/event-stream.js';
import { ApiContract } from '../support/api-contract.js';
import { eventually } from '../support/eventually.js';
import { type GatewayApp, startGateway } from '../support/gateway-app.js';
import { claimAndAnswer, claimTask, tickStep } from '../support/scripted-agent.js';
import { plainResult } from '../support/plain-result.js';

const USER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const TICKS = 60;

const contract = new ApiContract();
let gateway: GatewayApp;
let authorization: string;
let store: TaskStore;
beforeEach(async () => {
  gateway = await startGateway();
  authorization = `Bearer ${await gateway.token(USER)}`;
  store = gateway.app.get<TaskStore>(TASK_STORE, { strict: false });
});
afterEach(() => gateway.close());

async function post(path: string, body: object): Promise<{ correlation_id: string }> {
  const headers = { authorization, 'content-type': 'application/json' };
  const response = await fetch(`${gateway.origin}${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(202);
  return (await response.json()) as { correlation_id: string };
}

/** One connection: entries behind `after`, until the stream ends or `enough` of them came. Null: nothing is left (204). */
async function connect(
  id: string,
  after: number,
  { enough = Infinity, heard = (_entry: JournalEntry) => {} } = {},
): Promise<JournalEntry[] | null> {
  const leaving = new AbortController();
  const response = await fetch(`${gateway.origin}/tasks/${id}/events`, {
    headers: { authorization, 'last-event-id': String(after) },
    signal: leaving.signal,
  });
  if (response.status === 204) return null;
  const parser = new EventStreamParser();
  const entries: JournalEntry[] = [];
  for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    for (const { data } of parser.push(text)) {
      const entry = entryFromJson(JSON.parse(data));
      if (entry === null) throw new Error(`no journal entry: ${data}`);
      contract.checkNamed('JournalEntry', JSON.parse(data));
      entries.push(entry);
      heard(entry);
      // What came with the last piece is lost with the connection, as in life.
      if (entries.length === enough) {
        leaving.abort();
        return entries;
      }
    }
  }
  return entries;
}

/** An agent that writes tick after tick and then answers. */
async function work(id: string): Promise<void> {
  const claim = await claimTask(store, id);
  const { lease } = claim;
  let { record } = claim;
  for (let tick = 1; tick <= TICKS; tick += 1) {
    const change = workerChange(record, lease, [tickStep(`step ${tick}`)]);
    expect(await store.commit(change)).toEqual({ kind: 'committed' });
    ({ record } = change);
    await new Promise((resolve) => setTimeout(resolve, tick % 4));
  }
  const result = plainResult('It is so.', 'scripted');
  await store.commit(completion(record, lease, [], result, Date.now()));
}

describe('a stream of events', () => {
  it('that is dropped again and again resumes without gap or double', async () => {
    const { correlation_id: id } = await post('/tasks', { mandate: 'x', max_ticks: TICKS });
    const working = work(id);
    const followers = Array.from({ length: 8 }, async (_, follower) => {
      const heard: JournalEntry[] = [];
      for (let connection = 0; ; connection += 1) {
        const patience = 1 + ((connection * 7 + follower) % 11);
        const entries = await connect(id, heard.at(-1)?.seq ?? 0, { enough: patience });
        if (entries === null) return { heard, connection };
        heard.push(...entries);
      }
    });
    const outcomes = await Promise.all(followers);
    await working;
    const journal = await store.journal(id, 0, 1_000);
    expect(journal).toHaveLength(TICKS + 3);
    for (const { heard, connection } of outcomes) {
      expect(connection).toBeGreaterThan(5);
      expect(heard.map(({ hash }) => hash)).toEqual(journal.map(({ hash }) => hash));
      expect(findBreak(heard)).toBeNull();
    }
    const events = gateway.app.get(EventsService, { strict: false });
    await eventually('nobody follows', () => events.followed === 0);
  });

  it('reads the journal once for many who watch', async () => {
    const { correlation_id: id } = await post('/tasks', { mandate: 'x', max_ticks: 5 });
    let reads = 0;
    let watches = 0;
    const [journal, watch] = [store.journal.bind(store), store.watch.bind(store)];
    Object.assign(store, {
      journal: (...of: Parameters<typeof journal>) => ((reads += 1), journal(...of)),
      watch: (...of: Parameters<typeof watch>) => ((watches += 1), watch(...of)),
    });
    let following = 0;
    const watchers = Array.from({ length: 100 }, () =>
      connect(id, 0, { heard: ({ seq }) => (following += seq === 1 ? 1 : 0) }),
    );
    await eventually('all of them follow', () => following === 100);
    await claimAndAnswer(store, id);
    for (const entries of await Promise.all(watchers)) {
      expect(entries?.map(({ type }) => type)).toEqual(['submitted', 'accepted', 'tick', 'finished']);
    }
    expect(watches).toBe(1);
    expect(reads).toBeLessThan(12);
  });

  it.each(['GET', 'HEAD'])('forgets a follower that left before its %s was answered', async (method) => {
    const { correlation_id: id } = await post('/tasks', { mandate: 'x', max_ticks: 5 });
    const find = store.find.bind(store);
    const leaving = new AbortController();
    const server = gateway.app.getHttpServer();
    const left = once(server, 'request').then(([, response]) => once(response as ServerResponse, 'close'));
    Object.assign(store, {
      find: async (correlationId: string) => {
        leaving.abort();
        await left;
        return find(correlationId);
      },
    });
    const events = gateway.app.get(EventsService, { strict: false });
    const stream = jest.spyOn(events, 'stream');
    const call = { method, headers: { authorization }, signal: leaving.signal };
    await expect(fetch(`${gateway.origin}/tasks/${id}/events`, call)).rejects.toThrow();
    await eventually('it was about to follow', () => stream.mock.calls.length === 1);
    await eventually('nobody follows', () => events.followed === 0);
  });

  it('goes on behind an extension, for those who were there and those who come later', async () => {
    const { correlation_id: id } = await post('/tasks', { mandate: 'x', max_ticks: 5 });
    await claimAndAnswer(store, id);
    const first = (await connect(id, 0)) ?? [];
    expect(first.map(({ type }) => type)).toEqual(['submitted', 'accepted', 'tick', 'finished']);
    expect(await connect(id, 4)).toBeNull();
    await post(`/tasks/${id}/extend`, { ticks: 5 });
    const [rest, whole] = [connect(id, 4), connect(id, 0)];
    await claimAndAnswer(store, id, 2);
    const types = ['extended', 'accepted', 'tick', 'tick', 'finished'];
    expect((await rest)?.map(({ type }) => type)).toEqual(types);
    const all = (await whole) ?? [];
    expect(all.map(({ type }) => type)).toEqual([...first.map(({ type }) => type), ...types]);
    expect(findBreak(all)).toBeNull();
    expect(await connect(id, all.length)).toBeNull();
  });
});
