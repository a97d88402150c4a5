import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Installs a package where that is possible without asking: on Debian or Ubuntu, as root. Test files run in several
 * processes, so they queue for the package manager.
 */
export function installDebianPackage(name: string): void {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return;
  const install = `apt-get update -q && apt-get install -y -q --no-install-recommends ${name}`;
  spawnSync('flock', [join(tmpdir(), 'euglena-packages.lock'), 'sh', '-c', install], {
    stdio: 'ignore',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
}
