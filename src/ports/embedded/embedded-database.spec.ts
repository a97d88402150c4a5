import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { temporaryDataDir } from '../../../test/support/data-dir.js';
import { eventually } from '../../../test/support/eventually.js';
import { EuglenaError } from '../../domain/errors.js';
import { EmbeddedDatabase } from './embedded-database.js';

describe('EmbeddedDatabase', () => {
  let dataDir: ReturnType<typeof temporaryDataDir>;
  let database: EmbeddedDatabase;
  const opened: EmbeddedDatabase[] = [];
  const open = () => {
    const handle = EmbeddedDatabase.open(dataDir.path);
    opened.push(handle);
    return handle;
  };
  const values = (handle = database) =>
    handle.all<{ value: string }>('SELECT value FROM things ORDER BY rowid').map(({ value }) => value);
  const add = (value: string, handle = database) => handle.run('INSERT INTO things VALUES (?)', value);

  beforeEach(() => {
    dataDir = temporaryDataDir();
    database = open();
    database.define('CREATE TABLE IF NOT EXISTS things (value TEXT UNIQUE)');
  });
  afterEach(() => {
    for (const handle of opened.splice(0)) handle.close();
    dataDir.remove();
  });

  it('makes the folder, for its owner only', () => {
    const path = join(dataDir.path, 'a', 'b');
    const handle = EmbeddedDatabase.open(path);
    opened.push(handle);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(handle.path).toBe(join(path, 'euglena.db'));
  });

  it.each([
    ['lies below a file', (file: string) => join(file, 'data')],
    ['is a file', (file: string) => file],
    ['has a name that no folder can have', (file: string) => `${file}\0`],
  ])('names the folder when it %s', (_, folder) => {
    const file = join(dataDir.path, 'a-file');
    writeFileSync(file, '');
    const path = folder(file);
    const failure = catchError(() => EmbeddedDatabase.open(path));
    expect(failure).toBeInstanceOf(EuglenaError);
    expect(failure).toMatchObject({ code: 'engine_unavailable' });
    expect(failure.message).toContain(`The data folder ${path} cannot be used`);
  });

  it('names the folder when its file is no database', () => {
    const path = join(dataDir.path, 'other');
    EmbeddedDatabase.open(path).close();
    writeFileSync(join(path, 'euglena.db'), 'This is a letter, not a database. '.repeat(100));
    expect(catchError(() => EmbeddedDatabase.open(path)).message).toContain(path);
  });

  it('commits for the power cut too, and keeps what was committed', () => {
    expect(database.get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' });
    expect(database.get('PRAGMA synchronous')).toEqual({ synchronous: 2 });
    add('kept');
    database.close();
    expect(values(open())).toEqual(['kept']);
  });

  it('lets one commit wait for the next, and no other, whatever comes of it', () => {
    const during = database.relaxedTransaction(() => {
      add('relaxed');
      return database.get('PRAGMA synchronous');
    });
    expect(during).toEqual({ synchronous: 1 });
    expect(database.get('PRAGMA synchronous')).toEqual({ synchronous: 2 });
    const broken = () =>
      database.relaxedTransaction(() => {
        add('taken back');
        throw new RangeError('changed my mind');
      });
    expect(broken).toThrow(RangeError);
    expect(database.get('PRAGMA synchronous')).toEqual({ synchronous: 2 });
    expect(values(open())).toEqual(['relaxed']);
  });

  it('takes back all of a transaction that throws, and works on', () => {
    const broken = () =>
      database.transaction(() => {
        add('a');
        throw new RangeError('changed my mind');
      });
    expect(broken).toThrow(RangeError);
    expect(values()).toEqual([]);
    expect(database.transaction(() => add('b'))).toBe(1);
    expect(values(open())).toEqual(['b']);
  });

  it('takes back all of a transaction with a refused statement', () => {
    const broken = () =>
      database.transaction(() => {
        add('a');
        add('a');
      });
    expect(catchError(broken)).toMatchObject({ code: 'engine_unavailable' });
    expect(values()).toEqual([]);
  });

  it('refuses a transaction within a transaction, and takes back both', () => {
    const nested = () =>
      database.transaction(() => {
        add('a');
        database.transaction(() => add('b'));
      });
    expect(nested).toThrow('nested');
    expect(values()).toEqual([]);
  });

  it('shows a transaction to another handle whole or not at all', () => {
    const other = open();
    database.transaction(() => {
      add('a');
      expect(values(other)).toEqual([]);
      add('b');
    });
    expect(values(other)).toEqual(['a', 'b']);
  });

  it("waits for another process's write to end", async () => {
    const child = spawn(process.execPath, ['-e', HOLDS_THE_LOCK, database.path, libsqlPath()], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const closed = once(child, 'close');
    await once(child.stdout, 'data');
    const started = performance.now();
    child.stdin.end('go');
    // This blocks the process; the other one ends its transaction meanwhile.
    database.transaction(() => add('ours'));
    expect(performance.now() - started).toBeGreaterThan(100);
    expect(await closed).toEqual([0, null]);
    expect(values()).toEqual(['theirs', 'ours']);
  });

  it('gives blobs as buffers', () => {
    database.define('CREATE TABLE blobs (name TEXT, bytes BLOB)');
    const bytes = Buffer.from([0, 255, 7]);
    database.run('INSERT INTO blobs VALUES (?, ?)', 'some', bytes);
    database.run('INSERT INTO blobs VALUES (?, ?)', 'none', Buffer.alloc(0));
    expect(database.get('SELECT bytes FROM blobs')).toEqual({ bytes });
    const all = database.all<{ bytes: Buffer }>('SELECT bytes FROM blobs ORDER BY name');
    expect(all.map((row) => [Buffer.isBuffer(row.bytes), row.bytes.length])).toEqual([
      [true, 0],
      [true, 3],
    ]);
  });

  it.each([
    ['a buffer', Buffer.from([0, 255, 7])],
    ['an empty buffer', Buffer.alloc(0)],
    ['null', null],
  ])('takes %s as the only value', (_, value) => {
    database.define('CREATE TABLE lone (bytes BLOB)');
    expect(database.run('INSERT INTO lone VALUES (?)', value)).toBe(1);
    expect(database.get('SELECT bytes FROM lone WHERE bytes IS ?', value)).toEqual({ bytes: value });
    expect(database.all('SELECT bytes FROM lone WHERE bytes IS ?', value)).toEqual([{ bytes: value }]);
  });

  it('tells of its own commits at once and of foreign ones soon, until told to stop', async () => {
    const other = open();
    const told: string[] = [];
    const stop = database.onChange((from) => told.push(from));
    add('a');
    database.transaction(() => {
      add('b');
      expect(told).toEqual(['own']);
    });
    expect(told).toEqual(['own', 'own']);
    add('c', other);
    await eventually('a foreign commit', () => told.includes('foreign'));
    const before = told.length;
    stop();
    add('d');
    expect(told).toHaveLength(before);
  });

  it('tells nothing of a transaction that was taken back', () => {
    const told: string[] = [];
    const stop = database.onChange((from) => told.push(from));
    const broken = () =>
      database.transaction(() => {
        add('a');
        throw new RangeError();
      });
    expect(broken).toThrow(RangeError);
    expect(told).toEqual([]);
    stop();
  });

  it('refuses everything after it was closed', () => {
    database.close();
    database.close();
    for (const use of [() => add('a'), () => values(), () => database.transaction(() => 1)]) {
      expect(catchError(use)).toMatchObject({ code: 'engine_unavailable' });
    }
  });
});

/** Takes the write lock, says so, and keeps it for 200 ms after it was told to go on. */
const HOLDS_THE_LOCK = `
  const [path, libsql] = process.argv.slice(1);
  const database = new (require(libsql))(path);
  database.exec("BEGIN IMMEDIATE; INSERT INTO things VALUES ('theirs')");
  process.stdin.once('data', () => setTimeout(() => { database.exec('COMMIT'); database.close(); }, 200)).resume();
  console.log('locked');
`;

function libsqlPath(): string {
  return createRequire(join(process.cwd(), 'package.json')).resolve('libsql');
}

function catchError(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('nothing was thrown');
}
