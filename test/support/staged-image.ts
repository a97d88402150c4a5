import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { copyOf, type Dockerfile, PROJECT } from './dockerfile.js';

/** A folder that holds what an image would hold under its WORKDIR. */
export interface StagedImage {
  readonly root: string;
  remove(): void;
}

/**
 * Carries out the `COPY` instructions of an image in a folder of its own, far from the project's modules. What its stages
 * build is taken from here: `dist`, and of `node_modules` what `npm ci --omit=dev` would install, less what the stage
 * `dependencies` removes.
 */
export function stageImage(dockerfile: Dockerfile): StagedImage {
  const root = mkdtempSync(join(tmpdir(), 'euglena-image-'));
  chmodSync(root, 0o755);
  for (const text of dockerfile.all('COPY')) {
    const { from, sources, target } = copyOf(text);
    if (from === null) copyInto(root, sources, target);
    else if (sources.join() === '/app/node_modules') linkModules(root);
    else if (sources.join() === '/app/dist') link(`${PROJECT}dist`, join(root, target));
    else throw new Error(`the tests do not know how to stage: COPY ${text}`);
  }
  const dependencies = dockerfile.stages.find(({ name }) => name === 'dependencies');
  const steps = dockerfile.all('RUN', dependencies).filter((step) => !step.startsWith('npm ci'));
  for (const step of steps) execFileSync('sh', ['-c', step], { cwd: root });
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) };
}

/** Several sources, or a target that ends in a slash, make the target a folder that they go into. */
function copyInto(root: string, sources: readonly string[], target: string): void {
  for (const source of sources) {
    const into = target.endsWith('/') ? join(target, basename(source)) : target;
    cpSync(`${PROJECT}${source}`, join(root, into), { recursive: true });
  }
}

interface LockedPackage {
  readonly dev?: boolean;
}

/** The packages of the lock file that are not for development alone, as far as they are for this platform. */
function linkModules(root: string): void {
  const lock = JSON.parse(readFileSync(`${PROJECT}package-lock.json`, 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  for (const [path, { dev = false }] of Object.entries(lock.packages)) {
    if (path === '' || dev || !existsSync(`${PROJECT}${path}`)) continue;
    link(`${PROJECT}${path}`, join(root, path), 'node_modules');
  }
}

/** A copy that shares its files with the original where both are on one disk. A symbolic link would lead back to the project. */
function link(source: string, target: string, except = ''): void {
  const kind = lstatSync(source);
  if (kind.isDirectory()) {
    mkdirSync(target, { recursive: true });
    for (const name of readdirSync(source)) {
      if (name !== except) link(join(source, name), join(target, name), except);
    }
  } else if (kind.isSymbolicLink()) {
    symlinkSync(readlinkSync(source), target);
  } else {
    mkdirSync(dirname(target), { recursive: true });
    try {
      linkSync(source, target);
    } catch {
      copyFileSync(source, target);
    }
  }
}
