import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { transformFileSync } from '@swc/core';
import { systemClock } from '../../src/config/system-clock.js';
import { findBreak } from '../../src/domain/journal.js';
import { cancellation, workerChange } from '../../src/domain/task-change.js';
import { EmbeddedDatabase } from '../../src/ports/embedded/embedded-database.js';
import { SqliteTaskStore } from '../../src/ports/task-store/sqlite-task-store.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { eventually } from '../support/eventually.js';
import { ManualClock } from '../support/manual-clock.js';
import { taskStoreContract } from './task-store.contract.js';
import { Tasks, type TaskStoreHarness } from './task-store.harness.js';

const LEASE_MS = 200;

/** Every instance has its own connection to the file, as another process would. */
class SqliteHarness implements TaskStoreHarness {
  readonly clock = new ManualClock();
  readonly leaseMs = LEASE_MS;
  readonly dataDir = temporaryDataDir();
  readonly database = EmbeddedDatabase.open(this.dataDir.path);
  readonly store = new SqliteTaskStore(this.database, this.clock, LEASE_MS);
  private readonly opened: [TaskStore, EmbeddedDatabase][] = [[this.store, this.database]];

  async again(): Promise<TaskStore> {
    const database = EmbeddedDatabase.open(this.dataDir.path);
    const store = new SqliteTaskStore(database, this.clock, LEASE_MS);
    this.opened.push([store, database]);
    return store;
  }

  async elapse(ms: number): Promise<void> {
    this.clock.advance(ms);
  }

  async close(): Promise<void> {
    for (const [store, database] of this.opened) {
      await store.close();
      database.close();
    }
    this.dataDir.remove();
  }
}

taskStoreContract('SQLite', async () => new SqliteHarness());

/** Not portable: how a full disk or a damaged row is brought about is the engine's own affair. */
describe('task store on SQLite, when the file fails', () => {
  let harness: SqliteHarness;
  beforeEach(() => {
    harness = new SqliteHarness();
  });
  afterEach(() => harness.close());

  it('leaves nothing of a commit behind that the disk had no room for', async () => {
    const { store, database } = harness;
    const tasks = new Tasks(harness);
    const work = await tasks.step(await tasks.claim('t-1'), tasks.accepted());
    const pages = database.get<{ page_count: number }>('PRAGMA page_count')?.page_count ?? 0;
    database.get(`PRAGMA max_page_count = ${pages}`);
    const text = 'x'.repeat(100_000);
    const large = workerChange(work.record, work.lease, [tasks.tick(), tasks.observation(text)]);
    await expect(store.commit(large)).rejects.toMatchObject({ code: 'engine_unavailable' });
    const other = tasks.creation('t-2', 'alice', true);
    const submission = { ...other, record: { ...other.record, mandate: text } };
    await expect(store.commit(submission)).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(store.claim(submission, 'agent-1', LEASE_MS)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect(await store.find('t-1')).toEqual(work.record);
    expect(await store.journal('t-1', 0, 10)).toHaveLength(2);
    expect([await store.find('t-2'), await store.journal('t-2', 0, 10)]).toEqual([null, []]);
    database.get('PRAGMA max_page_count = 1000000');
    expect(await store.takeOutbox({ limit: 10, olderThanMs: 0, holdMs: 50 })).toEqual([]);
    expect(await store.commit(large)).toEqual({ kind: 'committed' });
  });

  it('leaves nothing of a commit behind whose last entry is refused', async () => {
    const { store } = harness;
    const tasks = new Tasks(harness);
    const submitted = await tasks.submit('t-1');
    const change = cancellation(submitted, tasks.now());
    const twice = { ...change, entries: [...change.entries, ...change.entries] };
    await expect(store.commit(twice)).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(await store.find('t-1')).toEqual(submitted);
    expect(await store.journal('t-1', 0, 10)).toHaveLength(1);
    expect(await store.takeSettlements({ limit: 10, holdMs: 50 })).toEqual([]);
    await tasks.committed(change);
  });

  it('says that a damaged record cannot be read, and goes on with the others', async () => {
    const tasks = new Tasks(harness);
    await tasks.submit('t-1');
    await tasks.submit('t-2');
    for (const damage of ['', '{', '{}', 'null', '{"status":"lost"}']) {
      harness.database.run("UPDATE tasks SET json = ? WHERE correlation_id = 't-1'", damage);
      await expect(harness.store.find('t-1')).rejects.toMatchObject({ code: 'engine_unavailable' });
      await expect(tasks.claim('t-1')).rejects.toMatchObject({ code: 'engine_unavailable' });
    }
    harness.database.run("UPDATE task_journal SET json = '{}' WHERE correlation_id = 't-1'");
    await expect(harness.store.journal('t-1', 0, 5)).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(await harness.store.find('t-2')).not.toBeNull();
  });

  it('rejects everything once the file is closed', async () => {
    harness.database.close();
    await expect(harness.store.ping()).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(harness.store.find('t-1')).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(harness.store.purge(0, 1)).rejects.toMatchObject({ code: 'engine_unavailable' });
  });
});

interface Told {
  readonly workerId: string;
  readonly correlationId: string;
  readonly entries: readonly { seq: number; hash: string }[];
}

/** Not portable: here the processes share a file, and no server stands between them. */
describe('task store on SQLite, with several processes', () => {
  const program = temporaryDataDir();
  const dataDir = temporaryDataDir();
  const children: ChildProcess[] = [];
  let database: EmbeddedDatabase;
  let store: SqliteTaskStore;

  beforeAll(() => {
    compileWorker(program.path);
    database = EmbeddedDatabase.open(dataDir.path);
    store = new SqliteTaskStore(database, systemClock, LEASE_MS);
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await store.close();
    database.close();
    dataDir.remove();
    program.remove();
  });

  async function prepare(workerId: string, leaseMs: number, ids: readonly string[]) {
    const script = join(program.path, 'test/contract/task-store.sqlite.worker.js');
    const child = spawn(process.execPath, [script, dataDir.path, workerId, String(leaseMs), ...ids], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.push(child);
    const told: Told[] = [];
    const ended = once(child, 'close');
    const lines = createInterface({ input: child.stdout });
    expect(await once(lines, 'line')).toEqual(['ready']);
    lines.on('line', (line) => told.push(JSON.parse(line) as Told));
    return { child, told, ended, go: () => child.stdin.end() };
  }

  /** Every entry that a process was answered `committed` for stands in the journal, and is nobody else's. */
  async function expectKept(id: string, told: readonly Told[]) {
    const journal = await store.journal(id, 0, 1_000);
    const entries = told.filter(({ correlationId }) => correlationId === id).flatMap((line) => line.entries);
    expect(new Set(entries.map(({ seq }) => seq)).size).toBe(entries.length);
    const hashes = new Map(journal.map(({ seq, hash }) => [seq, hash]));
    for (const { seq, hash } of entries) expect(hashes.get(seq)).toBe(hash);
    expect(findBreak(journal)).toBeNull();
    expect((await store.find(id))?.head).toEqual({ seq: journal.length, hash: journal.at(-1)?.hash });
    return { journal, entries };
  }

  it('has exactly one winner for each entry', async () => {
    const ids = ['race-1', 'race-2', 'race-3', 'race-4'];
    const workers = [await prepare('agent-1', 5_000, ids), await prepare('agent-2', 5_000, ids)];
    for (const { go } of workers) go();
    for (const { ended } of workers) expect(await ended).toEqual([0, null]);
    const told = workers.flatMap((worker) => worker.told);
    for (const id of ids) {
      const { journal, entries } = await expectKept(id, told);
      // The first entry came with a claim, which tells nothing.
      expect(entries).toHaveLength(journal.length - 1);
      expect(journal.filter(({ type }) => type === 'tick').map(({ data }) => data.tick)).toEqual(
        Array.from({ length: 20 }, (_, index) => index + 1),
      );
      expect(journal.filter(({ type }) => type === 'finished')).toHaveLength(1);
    }
    expect(new Set(told.map(({ workerId }) => workerId)).size).toBe(2);
    expect(await store.takeSettlements({ limit: 10, holdMs: 60_000 })).toHaveLength(ids.length);
  });

  it('loses nothing that was committed when a process is killed, and goes on without it', async () => {
    const ids = Array.from({ length: 50 }, (_, index) => `kill-${index}`);
    const victim = await prepare('victim', LEASE_MS, ids);
    victim.go();
    await eventually('some work of the victim', () => victim.told.length >= 60);
    victim.child.kill('SIGKILL');
    expect(await victim.ended).toEqual([null, 'SIGKILL']);
    for (const id of ids.filter((known) => victim.told.some((line) => line.correlationId === known))) {
      await expectKept(id, victim.told);
    }
    const heir = await prepare('heir', LEASE_MS, ids.slice(0, 5));
    heir.go();
    expect(await heir.ended).toEqual([0, null]);
    for (const id of ids.slice(0, 5)) {
      await expectKept(id, [...victim.told, ...heir.told]);
      expect((await store.find(id))?.status).toBe('completed');
    }
  });
});

/** The worker and the source that it imports, as plain JavaScript in `target`: Node runs no TypeScript. */
function compileWorker(target: string): void {
  const root = join(import.meta.dirname, '../..');
  const folders = ['src/domain', 'src/config', 'src/ports/embedded', 'src/ports/task-store'];
  const sources = folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
      .map((file) => join(folder, file)),
  );
  for (const source of [
    ...sources,
    'test/support/plain-result.ts',
    'test/contract/task-store.sqlite.worker.ts',
  ]) {
    const { code } = transformFileSync(join(root, source), { swcrc: true, configFile: join(root, '.swcrc') });
    const file = join(target, source.replace(/[.]ts$/, '.js'));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, code);
  }
  writeFileSync(join(target, 'package.json'), '{ "type": "module" }');
  symlinkSync(join(root, 'node_modules'), join(target, 'node_modules'), 'dir');
}
