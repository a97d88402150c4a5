import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { entryFromJson, findBreak, type JournalEntry } from '../../../src/domain/journal.js';
import { isTerminal } from '../../../src/domain/lifecycle.js';
import { type TaskRecord, taskFromJson } from '../../../src/domain/task.js';
import { type ApiTask, type EuglenaApi } from '../../support/euglena-api.js';
import { askManagement } from '../../support/servers/rabbitmq-management.js';

const OUTBOX_KEYS = ['tasks:outbox', 'tasks:settlements'];
const SHOWN_MAX = 20;

export interface AuditOptions {
  /** The gateway as the one user sees it who submitted `ids`, and nothing else. */
  readonly api: EuglenaApi;
  /** Every task that was answered 202. */
  readonly ids: readonly string[];
  /** Tasks that another AMQP client published, which no user sees. */
  readonly foreignIds?: readonly string[];
  readonly redisUrl: string;
  /** The management API, with credentials. */
  readonly managementUrl: string;
  readonly queue: string;
  /** Messages that must be in the dead-letter queue. Default: none. */
  readonly dead?: number;
  /** Messages that must still be parked. Default: none. */
  readonly parked?: number;
  /** How long all of this may take to come true. */
  readonly timeoutMs?: number;
}

/**
 * Proves what must hold after every fault: each accepted task has ended and stays as it ended, its journal is whole, each
 * tick is numbered once and charged once, nobody owns it any more, no other task exists, and nothing is left to do.
 * @throws Error with everything that does not hold.
 */
export async function audit(options: AuditOptions): Promise<void> {
  const redis = new Redis(options.redisUrl, { lazyConnect: true });
  redis.on('error', () => undefined);
  const end = performance.now() + (options.timeoutMs ?? 60_000);
  const ended = new Map<string, string>();
  try {
    for (;;) {
      const problems = await problemsOf(options, redis, ended).catch((error: unknown) => [String(error)]);
      if (problems.length === 0) return;
      if (performance.now() > end) throw new Error(`The audit fails:\n${shown(problems)}`);
      await delay(200);
    }
  } finally {
    redis.disconnect();
  }
}

async function problemsOf(
  options: AuditOptions,
  redis: Redis,
  ended: Map<string, string>,
): Promise<string[]> {
  const ids = [...options.ids, ...(options.foreignIds ?? [])];
  const records = await recordsOf(redis, ids);
  const problems = ids.flatMap((id) => unfinished(id, records.get(id)));
  problems.push(...undone(records, ended));
  // The rest costs more, and is of no use before.
  if (problems.length > 0) return problems;
  const journals = await journalsOf(redis, ids);
  for (const [id, record] of records) problems.push(...journalProblems(record, journals.get(id) ?? []));
  problems.push(
    ...(await visibleProblems(options, records)),
    ...(await leftInRedis(redis, ids)),
    ...(await leftInQueues(options)),
  );
  return problems;
}

function unfinished(id: string, record: TaskRecord | undefined): string[] {
  if (record === undefined) return [`${id}: has no record`];
  return isTerminal(record.status) ? [] : [`${id}: is ${record.status} and has not ended`];
}

/** A terminal record never changes. */
function undone(records: ReadonlyMap<string, TaskRecord>, ended: Map<string, string>): string[] {
  return [...records].flatMap(([id, record]) => {
    const before = ended.get(id);
    const now = JSON.stringify(record);
    if (isTerminal(record.status)) ended.set(id, before ?? now);
    return before === undefined || before === now ? [] : [`${id}: had ended and changed: ${before} → ${now}`];
  });
}

function journalProblems(record: TaskRecord, journal: readonly JournalEntry[]): string[] {
  const problems: string[] = [];
  const broken = findBreak(journal);
  if (broken !== null) problems.push(`the journal breaks at ${JSON.stringify(broken)}`);
  const of = (type: string) => journal.filter((entry) => entry.type === type);
  const ticks = of('tick').map(({ data }) => data.tick);
  if (ticks.length !== record.usage.ticks || ticks.some((tick, index) => tick !== index + 1)) {
    problems.push(`used ${record.usage.ticks} ticks, its journal has ${JSON.stringify(ticks)}`);
  }
  const tokens = of('accepted').map(({ data }) => Number(data.attempt));
  if (tokens.some((token, index) => token <= (tokens[index - 1] ?? 0))) {
    problems.push(`was accepted with the fencing tokens ${JSON.stringify(tokens)}`);
  }
  const last = journal.at(-1);
  if (last?.type !== 'finished' || of('finished').length !== 1) problems.push('did not finish once, at last');
  if (record.head.hash !== last?.hash) problems.push('has another head than its journal');
  if (record.result !== null && record.result.receipt !== last?.hash)
    problems.push('has a receipt of another end');
  return problems.map((problem) => `${record.correlationId}: ${problem}`);
}

/** What the user sees is what is stored, there is nothing else to see, and the quota charged exactly that. */
async function visibleProblems(
  { api, ids }: AuditOptions,
  records: ReadonlyMap<string, TaskRecord>,
): Promise<string[]> {
  const seen = await listAll(api);
  const problems = [...seen.keys()]
    .filter((id) => !ids.includes(id))
    .map((id) => `${id}: nobody submitted it`);
  for (const id of ids) {
    const [task, record] = [seen.get(id), records.get(id)];
    if (task?.status !== record?.status) problems.push(`${id}: the API says it is ${task?.status}`);
  }
  const ticks = ids.reduce((sum, id) => sum + (records.get(id)?.usage.ticks ?? 0), 0);
  const charged = await api.quotaUsed();
  if (charged !== ticks) problems.push(`${ticks} ticks were run and ${charged} charged`);
  return problems;
}

async function listAll(api: EuglenaApi): Promise<Map<string, ApiTask>> {
  const seen = new Map<string, ApiTask>();
  for (let cursor = ''; ;) {
    const response = await api.request(
      `/tasks?limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    if (response.status !== 200) throw new Error(`GET /tasks answers ${response.status}`);
    const page = (await response.json()) as { tasks: ApiTask[]; next_cursor: string | null };
    for (const task of page.tasks) seen.set(task.correlation_id, task);
    if (page.next_cursor === null) return seen;
    cursor = page.next_cursor;
  }
}

async function recordsOf(redis: Redis, ids: readonly string[]): Promise<Map<string, TaskRecord>> {
  if (ids.length === 0) return new Map();
  const texts = await redis.mget(ids.map((id) => `task:${id}`));
  return new Map(
    texts.flatMap((text, index) => {
      const record = text === null ? null : taskFromJson(JSON.parse(text));
      return record === null ? [] : [[ids[index] ?? '', record] as const];
    }),
  );
}

async function journalsOf(redis: Redis, ids: readonly string[]): Promise<Map<string, JournalEntry[]>> {
  const pipeline = redis.pipeline();
  for (const id of ids) pipeline.xrange(`task:${id}:journal`, '-', '+');
  const answers = (await pipeline.exec()) ?? [];
  return new Map(
    answers.map(([, rows], index) => {
      const entries = (rows as [string, string[]][]).map(([, [, json = '']]) =>
        entryFromJson(JSON.parse(json)),
      );
      return [ids[index] ?? '', entries.filter((entry) => entry !== null)];
    }),
  );
}

async function leftInRedis(redis: Redis, ids: readonly string[]): Promise<string[]> {
  const problems: string[] = [];
  for (const key of OUTBOX_KEYS) {
    const left =
      (await redis.zcard(key)) + (await redis.zcard(`${key}:held`)) + (await redis.hlen(`${key}:body`));
    if (left > 0) problems.push(`${key} is not empty`);
  }
  const [seconds, micros] = await redis.time();
  const now = Number(seconds) * 1_000 + Number(micros) / 1_000;
  const pipeline = redis.pipeline();
  for (const id of ids) pipeline.hget(`task:${id}:lease`, 'expires_at');
  const ends = (await pipeline.exec()) ?? [];
  ends.forEach(([, at], index) => {
    if (Number(at) > now) problems.push(`${ids[index]}: has a live lease`);
  });
  return problems;
}

/** The broker counts at intervals, and leaves figures out while it starts: those are problems until they come. */
async function leftInQueues({ managementUrl, queue, dead = 0, parked = 0 }: AuditOptions): Promise<string[]> {
  const response = await askManagement(managementUrl, '/api/queues?columns=name,messages');
  const queues = (await response.json()) as { name: string; messages?: number }[];
  const count = (belongs: (name: string) => boolean) =>
    queues.filter(({ name }) => belongs(name)).reduce((sum, { messages }) => sum + (messages ?? NaN), 0);
  const found = {
    [queue]: [count((name) => name === queue), 0],
    [`${queue}.dead`]: [count((name) => name === `${queue}.dead`), dead],
    [`${queue}.parked`]: [count((name) => name.startsWith(`${queue}.parked.`)), parked],
  };
  return Object.entries(found)
    .filter(([, [is, should]]) => is !== should)
    .map(([name, [is, should]]) => `${name} holds ${is} messages instead of ${should}`);
}

function shown(problems: readonly string[]): string {
  const lines = problems.slice(0, SHOWN_MAX).map((problem) => `  - ${problem}`);
  if (problems.length > SHOWN_MAX) lines.push(`  … and ${problems.length - SHOWN_MAX} more`);
  return lines.join('\n');
}
