import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

const MAIN = join(import.meta.dirname, '../dist/main.js');

/** Starts the built role `all` on a free port and an empty data folder. Resolves when it says that it is ready. */
export async function startRole(settings = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'euglena-bench-'));
  const { PATH, HOME } = process.env;
  const fixed = { PATH, HOME, EUGLENA_DATA_DIR: folder, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'warn' };
  const unlimited = { RATE_LIMIT_PER_MINUTE: '1000000', USER_MAX_ACTIVE_TASKS: '100000' };
  const began = globalThis.performance.now();
  const child = spawn(process.execPath, [MAIN, '--role', 'all'], {
    cwd: folder,
    env: { ...fixed, ...unlimited, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  let banner = '';
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    banner += chunk;
    if (banner.endsWith('\nready\n')) break;
  }
  const readyMs = globalThis.performance.now() - began;
  const url = / · (http:\S+)\n/.exec(banner)?.[1];
  if (url === undefined) throw new Error('the role did not start');
  return {
    url,
    token: /^[\w-]+\.[\w-]+\.[\w-]+$/m.exec(banner)[0],
    readyMs,
    pid: child.pid,
    /** Resident memory in MB (10^6 bytes), as Linux counts it. */
    residentMb: () =>
      (Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]) * 1_024) /
      1e6,
    stop: async () => {
      child.kill('SIGTERM');
      await exit;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
