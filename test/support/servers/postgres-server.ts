import { spawn, spawnSync, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { temporaryDataDir } from '../data-dir.js';
import { eventually } from '../eventually.js';
import { freePort } from '../free-port.js';
import { installDebianPackage } from './debian-package.js';

const DEBIAN_VERSIONS = '/usr/lib/postgresql';
const OTHER_PLACES = ['/usr/local/bin', '/usr/local/pgsql/bin', '/opt/homebrew/bin'];
/** Who runs the server where the tests run as root, which it refuses. */
const SERVICE_USER = 'postgres';

export interface PostgresServer {
  /** Of a superuser. */
  readonly url: string;
  /** Ends the server and removes its data. */
  stop(): Promise<void>;
}

/** The server that POSTGRES_URL names, which is left running; else a private one. */
export async function startPostgres(): Promise<PostgresServer> {
  const given = process.env.POSTGRES_URL;
  if (given !== undefined && given !== '') return { url: given, stop: async () => undefined };
  const programs = findPrograms();
  const dataDir = temporaryDataDir();
  const account = serviceAccount();
  if (account !== null) chownSync(dataDir.path, account.uid, account.gid);
  const options: SpawnOptions = { cwd: dataDir.path, stdio: 'ignore', ...account };
  const data = join(dataDir.path, 'data');
  const made = spawnSync(
    join(programs, 'initdb'),
    ['-D', data, '-U', SERVICE_USER, '--auth=trust', '--no-sync', '--locale=C', '--encoding=UTF8'],
    options,
  );
  if (made.status !== 0) throw new Error(`initdb ended with ${made.status ?? made.error?.message}`);
  const port = await freePort();
  const settings = { listen_addresses: '127.0.0.1', port, unix_socket_directories: '', fsync: 'off' };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = spawn(join(programs, 'postgres'), ['-D', data, ...flags], options);
  const exited = once(child, 'exit');
  const url = `postgres://${SERVICE_USER}@127.0.0.1:${port}/postgres`;
  await eventually(`postgres on port ${port}`, () => answers(url));
  return {
    url,
    stop: async () => {
      child.kill('SIGINT'); // A fast shutdown: connections are cut off.
      await exited;
      dataDir.remove();
    },
  };
}

function findPrograms(): string {
  const find = () => {
    const debian = existsSync(DEBIAN_VERSIONS) ? readdirSync(DEBIAN_VERSIONS) : [];
    const newestFirst = debian.sort((a, b) => Number(b) - Number(a));
    const places = [...newestFirst.map((version) => join(DEBIAN_VERSIONS, version, 'bin')), ...OTHER_PLACES];
    return places.find((place) => existsSync(join(place, 'initdb')));
  };
  if (find() === undefined) installDebianPackage('postgresql');
  const found = find();
  if (found !== undefined) return found;
  throw new Error(
    'These tests need PostgreSQL: set POSTGRES_URL, or install it (Debian: apt-get install postgresql).',
  );
}

function serviceAccount(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const line = readFileSync('/etc/passwd', 'utf8').match(
    new RegExp(`^${SERVICE_USER}:[^:]*:(\\d+):(\\d+):`, 'm'),
  );
  if (line === null) throw new Error(`there is no user ${SERVICE_USER} to run PostgreSQL as`);
  return { uid: Number(line[1]), gid: Number(line[2]) };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}
