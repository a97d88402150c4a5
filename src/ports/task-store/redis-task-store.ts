import { envelopeToJson, readEnvelope } from '../../domain/envelope.js';
import { EuglenaError } from '../../domain/errors.js';
import { entryToJson, type JournalEntry } from '../../domain/journal.js';
import { isTerminal } from '../../domain/lifecycle.js';
import { type TaskRecord, type TaskStatus, taskToJson } from '../../domain/task.js';
import { type Lease, type Settlement, type TaskChange } from '../../domain/task-change.js';
import { PATIENCE_MS, type RedisConnection } from '../redis/redis-connection.js';
import {
  CLAIM,
  CLEAR,
  COMMIT,
  HOLD,
  LIST,
  MOVE_LEASE_ENDS,
  PURGE,
  STALLED,
  TAKE,
  WITHDRAW,
} from './redis-task-scripts.js';
import { RedisTaskWatch } from './redis-task-watch.js';
import { cursorBehind, readCursor, readEntry, readRecord } from './stored-task.js';
import {
  type ClaimOutcome,
  type CommitOutcome,
  type EntryVersion,
  type OutboxItem,
  type SettlementItem,
  type TaskPage,
  type TaskStore,
} from './task-store.port.js';

const OUTBOX = 'tasks:outbox';
const SETTLEMENTS = 'tasks:settlements';
const CALLBACKS = 'tasks:callbacks';
const PURGED = 'tasks:purged';
/** How many of a user's tasks one call of `list` looks at; a filter that finds less gives a shorter page. */
const LOOKED_AT = 1_000;

/** Tasks in Redis. Each method is one round trip. Durable as Redis is: see its `appendfsync`. */
export class RedisTaskStore implements TaskStore {
  private readonly scripts;
  private readonly changes: RedisTaskWatch;
  private readonly ends: RedisTaskWatch;
  /** By how much the server's clock is ahead of this process's own, in ms, as far as that is known. */
  private serverAheadMs: number | undefined;

  /** `leaseMs`: how long a lease lasts after a commit or a renewal. */
  constructor(
    private readonly connection: RedisConnection,
    private readonly leaseMs: number,
  ) {
    this.scripts = {
      commit: connection.script('taskCommit', COMMIT),
      claim: connection.script('taskClaim', CLAIM),
      moveLeaseEnds: connection.script('taskMoveLeaseEnds', MOVE_LEASE_ENDS),
      list: connection.script('taskList', LIST),
      withdraw: connection.script('taskWithdraw', WITHDRAW),
      take: connection.script('taskTake', TAKE),
      clear: connection.script('taskClear', CLEAR),
      hold: connection.script('taskHold', HOLD),
      purge: connection.script('taskPurge', PURGE),
      stalled: connection.script('taskStalled', STALLED),
    };
    this.changes = new RedisTaskWatch(connection, 'tasks:changed');
    this.ends = new RedisTaskWatch(connection, 'tasks:ended');
  }

  /** Begins to listen, and resolves once {@link watch} and {@link watchEnd} hear. Without it they begin when first used. */
  async listen(): Promise<void> {
    await Promise.all([this.changes.ready(), this.ends.ready()]);
  }

  async find(correlationId: string): Promise<TaskRecord | null> {
    const json = await this.connection.run((client) => client.get(this.key(correlationId)));
    return json === null ? null : readRecord(json);
  }

  async commit(change: TaskChange): Promise<CommitOutcome> {
    const { lease } = change;
    // A server that was silent makes a change at last whose client was told that it failed. A worker's is fenced by its lease.
    const notAfter = lease === undefined ? this.notAfter() : '';
    const head = headOf(change, lease?.token ?? '', lease?.workerId ?? '', this.leaseMs, notAfter);
    const kind = (await this.scripts.commit(head, ...bodiesOf(change))) as CommitOutcome['kind'] | 'late';
    if (kind !== 'late') return { kind };
    this.serverAheadMs = undefined;
    throw new EuglenaError('engine_unavailable', 'Redis took too long.', { nothingDone: true });
  }

  async claim(creation: TaskChange, workerId: string, leaseMs: number): Promise<ClaimOutcome> {
    const { correlationId } = creation.record;
    const head = headOf(creation, '', workerId, leaseMs);
    const answer = await this.scripts.claim(head, ...bodiesOf(creation));
    const [kind = '', ...rest] = answer as string[];
    if (kind === 'busy') return { kind, retryAfterMs: Number(rest[0]) };
    if (kind === 'finished') return { kind, record: readRecord(rest[0] ?? '') };
    const [token, attempt, record = '', ...entries] = rest;
    return {
      kind: 'claimed',
      lease: { correlationId, workerId, token: Number(token) },
      record: readRecord(record),
      journal: entries.map(readEntry),
      attempt: Number(attempt),
    };
  }

  async renew(leases: readonly Lease[]): Promise<readonly Lease[]> {
    if (leases.length === 0) return [];
    const lost = new Set(
      (await this.scripts.moveLeaseEnds(this.leaseMs, ...leases.flatMap(leaseFields))) as number[],
    );
    return leases.filter((_, index) => lost.has(index));
  }

  async surrender(lease: Lease): Promise<void> {
    await this.scripts.moveLeaseEnds(0, ...leaseFields(lease));
  }

  async journal(correlationId: string, afterSeq: number, limit: number): Promise<readonly JournalEntry[]> {
    const key = `${this.key(correlationId)}:journal`;
    const rows = await this.connection.run((client) =>
      client.xrange(key, `${afterSeq + 1}-0`, '+', 'COUNT', limit),
    );
    return rows.map(([, [, json = '']]) => readEntry(json));
  }

  async list(
    owner: string,
    query: { readonly statuses?: readonly TaskStatus[]; readonly limit: number; readonly cursor?: string },
  ): Promise<TaskPage> {
    const { statuses, limit, cursor } = query;
    if (statuses?.length === 0) return { tasks: [], nextCursor: null };
    const after = readCursor(cursor);
    const place = [after.createdAt, after.correlationId, LOOKED_AT];
    const answer = await this.scripts.list(owner, limit, ...place, ...(statuses ?? []));
    const [createdAt, correlationId = '', ...records] = answer as string[];
    const nextCursor =
      correlationId === '' ? null : cursorBehind({ createdAt: Number(createdAt), correlationId });
    return { tasks: records.map(readRecord), nextCursor };
  }

  async active(owner: string): Promise<number> {
    return this.connection.run((client) => client.scard(`${this.connection.prefix}tasks:active:${owner}`));
  }

  async withdraw(correlationId: string): Promise<boolean> {
    return (await this.scripts.withdraw(correlationId)) === 1;
  }

  /** An entry that was taken before is handed out when its hold ends, whatever `olderThanMs` says. */
  async takeOutbox(options: {
    limit: number;
    olderThanMs: number;
    holdMs: number;
  }): Promise<readonly OutboxItem[]> {
    const taken = await this.take(OUTBOX, options.limit, options.olderThanMs, options.holdMs);
    return taken.flatMap(({ seq, json }) => {
      const reading = readEnvelope(Buffer.from(json));
      // What a newer version wrote is left to that version.
      return reading.kind === 'envelope' ? [{ seq, envelope: reading.envelope }] : [];
    });
  }

  async clearOutbox(entries: readonly EntryVersion[]): Promise<void> {
    await this.clear(OUTBOX, entries);
  }

  async takeSettlements(options: { limit: number; holdMs: number }): Promise<readonly SettlementItem[]> {
    const taken = await this.take(SETTLEMENTS, options.limit, 0, options.holdMs);
    return taken.map(({ seq, json }) => ({ seq, settlement: JSON.parse(json) as Settlement }));
  }

  async clearSettlements(entries: readonly EntryVersion[]): Promise<void> {
    await this.clear(SETTLEMENTS, entries);
  }

  async takeCallbacks(options: { limit: number; holdMs: number }): Promise<readonly EntryVersion[]> {
    return this.takeVersions(CALLBACKS, options);
  }

  async postponeCallback({ correlationId, seq }: EntryVersion, delayMs: number): Promise<void> {
    await this.scripts.hold(CALLBACKS, correlationId, seq, delayMs);
  }

  async clearCallbacks(entries: readonly EntryVersion[]): Promise<void> {
    await this.clear(CALLBACKS, entries);
  }

  watch(correlationId: string, listener: () => void): () => void {
    return this.changes.add(correlationId, listener);
  }

  watchEnd(correlationId: string, listener: () => void): () => void {
    return this.ends.add(correlationId, listener);
  }

  async stalled(olderThanMs: number, limit: number): Promise<readonly TaskRecord[]> {
    return ((await this.scripts.stalled(olderThanMs, limit)) as string[]).map(readRecord);
  }

  async purge(finishedBefore: number, limit: number): Promise<readonly string[]> {
    return (await this.scripts.purge(finishedBefore, limit)) as string[];
  }

  async takePurged(options: { limit: number; holdMs: number }): Promise<readonly EntryVersion[]> {
    return this.takeVersions(PURGED, options);
  }

  async clearPurged(entries: readonly EntryVersion[]): Promise<void> {
    await this.clear(PURGED, entries);
  }

  ping(): Promise<void> {
    return this.connection.ping();
  }

  async close(): Promise<void> {
    this.changes.stop();
    this.ends.stop();
  }

  private key(correlationId: string): string {
    return `${this.connection.prefix}task:${correlationId}`;
  }

  /** The server's time (epoch ms) at which nobody waits any more for what is sent now; empty while its clock is not known. */
  private notAfter(): number | '' {
    if (this.serverAheadMs === undefined) return '';
    return Math.floor(performance.now() + this.serverAheadMs) + PATIENCE_MS;
  }

  private async take(list: string, limit: number, olderThanMs: number, holdMs: number) {
    const answer = await this.scripts.take(list, limit, olderThanMs, holdMs, this.notAfter());
    const [serverTime, ...bodies] = answer as string[];
    this.serverAheadMs = Number(serverTime) - performance.now();
    return bodies.map((body) => {
      const space = body.indexOf(' ');
      return { seq: Number(body.slice(0, space)), json: body.slice(space + 1) };
    });
  }

  private async takeVersions(list: string, { limit, holdMs }: { limit: number; holdMs: number }) {
    const taken = await this.take(list, limit, 0, holdMs);
    return taken.map(({ seq, json }) => ({ seq, correlationId: json }));
  }

  private async clear(list: string, entries: readonly EntryVersion[]): Promise<void> {
    if (entries.length === 0) return;
    await this.scripts.clear(list, ...entries.flatMap(({ correlationId, seq }) => [correlationId, seq]));
  }
}

function leaseFields({ correlationId, token, workerId }: Lease): (string | number)[] {
  return [correlationId, token, workerId];
}

/** The short fields of a change as one argument, in the order that the scripts read them: each argument has its price. */
function headOf(
  { record, entries, expectedSeq, endsLease, activeLimit, callsBack }: TaskChange,
  token: number | string,
  workerId: string,
  leaseMs: number,
  notAfter: number | '' = '',
): string {
  const fields = [
    record.correlationId,
    expectedSeq,
    record.createdAt,
    isTerminal(record.status) ? (record.finishedAt ?? record.updatedAt) : '',
    endsLease ? 1 : 0,
    entries.some(startsAttemptsAnew) ? 1 : 0,
    token,
    workerId,
    leaseMs,
    activeLimit ?? '',
    callsBack === true ? 1 : 0,
    notAfter,
    // The last one may hold anything: another publisher may have named it.
    record.owner === null ? '' : `=${record.owner}`,
  ];
  return fields.join('\n');
}

/** Record, outbox entry, settlement (empty: none) and journal entries, each as JSON. */
function bodiesOf({ record, entries, expectedSeq, outbox, settlement }: TaskChange): string[] {
  return [
    JSON.stringify(taskToJson(record)),
    outbox === undefined ? '' : envelopeToJson(outbox),
    settlement === undefined ? '' : JSON.stringify(settlement),
    ...entries.map((entry, index) => {
      if (entry.seq !== expectedSeq + index + 1)
        throw new Error('The entries of a change must follow each other.');
      return JSON.stringify(entryToJson(entry));
    }),
  ];
}

/** Progress, a proper hand-back and an extension each give the task its full number of attempts again. */
function startsAttemptsAnew({ type }: JournalEntry): boolean {
  return type === 'tick' || type === 'released' || type === 'extended';
}
