import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { temporaryDataDir } from '../data-dir.js';
import { eventually } from '../eventually.js';
import { freePort } from '../free-port.js';

/**
 * ChromaDB's server is a native library inside npm, 417 MB on disk, for one platform a package. As a devDependency it
 * would fail `npm ci` on every other platform, and as an optional one it would reach the product's image. So the first
 * test that needs it installs it, in about six seconds, beside the other tools' caches.
 */
const PACKAGE = 'chromadb-js-bindings-linux-x64-gnu';
/** The newest release that runs on glibc 2.36. */
const VERSION = '1.0.5';
const CACHE = resolve('node_modules/.cache/euglena-chroma');
const RUN = "require(process.argv[1]).cli(['chroma', 'run', ...process.argv.slice(2)])";

export interface ChromaProcess {
  readonly url: string;
  /** Ends the server and removes its data. */
  stop(): Promise<void>;
  /** Ends the server and starts it over the same data, at the same address. */
  restart(): Promise<void>;
  /** Ends the server at once; its data stay until `stop`. */
  kill(): void;
}

/** The server that `CHROMA_URL` names, which is left as it is; else a private one. */
export async function startChroma(): Promise<ChromaProcess> {
  const given = process.env['CHROMA_URL'];
  if (given === undefined || given === '') return startPrivateChroma();
  return { url: given, stop: async () => {}, restart: async () => {}, kill: () => {} };
}

/** A server that only the test uses, with an empty data folder. */
export async function startPrivateChroma(): Promise<ChromaProcess> {
  const library = await installedLibrary();
  const data = temporaryDataDir();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let server = await launch(library, data.path, port, url);
  const end = async () => {
    const ended = isRunning(server) ? once(server, 'exit') : null;
    server.kill('SIGKILL');
    await ended;
  };
  return {
    url,
    stop: async () => {
      await end();
      data.remove();
    },
    restart: async () => {
      await end();
      server = await launch(library, data.path, port, url);
    },
    kill: () => {
      server.kill('SIGKILL');
    },
  };
}

async function launch(library: string, path: string, port: number, url: string): Promise<ChildProcess> {
  const where = ['--path', path, '--host', '127.0.0.1', '--port', String(port)];
  const server = spawn(process.execPath, ['-e', RUN, library, ...where], { stdio: 'ignore' });
  await eventually(
    'ChromaDB answers',
    async () => {
      if (!isRunning(server)) throw new Error(`ChromaDB ended with code ${server.exitCode}`);
      return fetch(`${url}/api/v2/heartbeat`).then(
        ({ ok }) => ok,
        () => false,
      );
    },
    30_000,
  );
  return server;
}

function isRunning(server: ChildProcess): boolean {
  return server.exitCode === null && server.signalCode === null;
}

async function installedLibrary(): Promise<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      'The tests start ChromaDB by themselves on Linux x64 only. Elsewhere set CHROMA_URL to a running server, for ' +
        'example http://localhost:8000 after "docker run -p 8000:8000 chromadb/chroma".',
    );
  }
  const home = join(CACHE, VERSION);
  const library = join(home, 'node_modules', PACKAGE);
  if (existsSync(library)) return library;
  mkdirSync(CACHE, { recursive: true });
  // Complete or not there at all: another test process may look at the same moment.
  const fresh = mkdtempSync(join(CACHE, 'new-'));
  writeFileSync(join(fresh, 'package.json'), '{}');
  const flags = ['--prefix', fresh, '--ignore-scripts', '--no-audit', '--no-fund'];
  await promisify(execFile)('npm', ['install', ...flags, `${PACKAGE}@${VERSION}`], { cwd: fresh });
  try {
    renameSync(fresh, home);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(library)) throw error;
  }
  return library;
}
