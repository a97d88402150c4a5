import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { transformFileSync } from '@swc/core';
import { systemClock } from '../../src/config/system-clock.js';
import { type Clock } from '../../src/domain/clock.js';
import { agentEnvironment } from '../../src/ports/fleet/agent-environment.js';
import {
  ChildProcessFleet,
  type ChildProcessFleetOptions,
} from '../../src/ports/fleet/child-process-fleet.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { eventually } from '../support/eventually.js';
import { ManualClock } from '../support/manual-clock.js';
import { fleetContract } from './fleet.contract.js';

/** Says in a file that it is ready, keeps what it was given, and ends as an agent does. */
const WORKER = `
import { appendFileSync, renameSync, writeFileSync } from 'node:fs';
const { FOLDER, MODE } = process.env;
appendFileSync(FOLDER + '/starts', process.pid + '\\n');
if (MODE === 'broken') { console.error('no such setting'); process.exit(3); }
process.on('SIGTERM', () => { if (MODE !== 'stubborn') process.exit(0); });
process.on('disconnect', () => process.exit(0));
setInterval(() => undefined, 1_000);
// Whole at once: whoever waits for the file reads it as soon as it is there.
writeFileSync(FOLDER + '/starting-' + process.pid, JSON.stringify({ env: process.env, argv: process.argv.slice(2) }));
renameSync(FOLDER + '/starting-' + process.pid, FOLDER + '/ready-' + process.pid);
`;

function workerFolder() {
  const dir = temporaryDataDir();
  const script = join(dir.path, 'worker.mjs');
  writeFileSync(script, WORKER);
  const starts = () =>
    existsSync(join(dir.path, 'starts'))
      ? readFileSync(join(dir.path, 'starts'), 'utf8').trim().split('\n').map(Number)
      : [];
  const ready = () =>
    readdirSync(dir.path)
      .filter((file) => file.startsWith('ready-'))
      .map((file) => Number(file.slice('ready-'.length)));
  const fleet = (mode: string, clock: Clock, more: Partial<ChildProcessFleetOptions> = {}) =>
    new ChildProcessFleet({
      command: [process.execPath, script, '--role', 'agent'],
      env: { ...process.env, FOLDER: dir.path, MODE: mode },
      clock,
      ...more,
    });
  return { dir, script, starts, ready, living: () => ready().filter(isAlive), fleet };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

Logger.overrideLogger(false);

fleetContract('child processes', async () => {
  const folder = workerFolder();
  return {
    fleet: folder.fleet('good', systemClock),
    workers: async () => folder.living().map(String).sort(),
    kill: async (worker) => void process.kill(Number(worker), 'SIGKILL'),
    close: async () => folder.dir.remove(),
  };
});

// Which worker goes, when a dead one is replaced and what a worker inherits are in our own hands here only.
describe('a fleet of child processes', () => {
  let folder: ReturnType<typeof workerFolder>;
  let clock: ManualClock;
  let fleet: ChildProcessFleet;

  beforeEach(() => {
    folder = workerFolder();
    clock = new ManualClock();
  });
  afterEach(async () => {
    for (const pid of folder.living()) process.kill(pid, 'SIGKILL');
    await fleet.close();
    folder.dir.remove();
  });

  const start = async (count: number) => {
    await fleet.setDesired(count);
    return eventually('all are ready', () => (folder.living().length === count ? folder.living() : null));
  };

  it('never drains a busy worker: idle ones go, and a busy one that is too many goes when it is idle', async () => {
    const busy = new Set<number>();
    let asked = 0;
    fleet = folder.fleet('good', clock, {
      busyPids: async () => {
        asked += 1;
        return busy;
      },
    });
    const pids = await start(4);
    const [first = 0, second = 0] = [pids[1], pids[3]];
    busy.add(first).add(second);
    await fleet.setDesired(1);
    expect((await fleet.state()).desired).toBe(1);
    await eventually('the idle ones are gone', () => folder.living().length === 2);
    expect(new Set(folder.living())).toEqual(busy);
    clock.advance(2_000);
    await eventually('it looked again', () => asked === 2);
    expect(folder.living()).toHaveLength(2);
    busy.delete(second);
    await eventually('it goes when it is idle', () => {
      clock.advance(2_000);
      return folder.living().length === 1;
    });
    expect(folder.living()).toEqual([first]);
  });

  it('keeps a busy worker that is wanted again', async () => {
    const busy = new Set<number>();
    fleet = folder.fleet('good', clock, { busyPids: async () => busy });
    const pids = await start(2);
    pids.forEach((pid) => busy.add(pid));
    await fleet.setDesired(1);
    await fleet.setDesired(2);
    busy.clear();
    clock.advance(2_000);
    await fleet.setDesired(2);
    expect(await fleet.state()).toEqual({ desired: 2, running: 2, pending: 0 });
    expect(folder.living().sort()).toEqual(pids.sort());
  });

  it('changes nothing when it cannot tell who is busy', async () => {
    fleet = folder.fleet('good', clock, { busyPids: () => Promise.reject(new Error('presence is away')) });
    await start(2);
    await expect(fleet.setDesired(1)).rejects.toThrow('presence is away');
    expect(await fleet.state()).toEqual({ desired: 2, running: 2, pending: 0 });
    await expect(fleet.setDesired(3)).resolves.toBeUndefined();
  });

  it('kills what does not drain, but only after the grace', async () => {
    fleet = folder.fleet('stubborn', clock);
    const [pid = 0] = await start(1);
    await fleet.setDesired(0);
    clock.advance(29_999);
    expect(await fleet.state()).toEqual({ desired: 0, running: 1, pending: 0 });
    expect(isAlive(pid)).toBe(true);
    clock.advance(1);
    await eventually('it is gone', async () => (await fleet.state()).running === 0 && !isAlive(pid));
  });

  it('closes when every worker is gone', async () => {
    fleet = folder.fleet('good', clock);
    const pids = await start(2);
    await fleet.close();
    expect(pids.filter(isAlive)).toEqual([]);
    expect(await fleet.state()).toEqual({ desired: 0, running: 0, pending: 0 });
    await expect(fleet.setDesired(1)).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(fleet.ping()).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it('starts a worker that dies young ever more slowly, and says so', async () => {
    fleet = folder.fleet('broken', clock);
    await fleet.setDesired(1);
    const waits = [1, 2, 4, 8, 16, 30, 30];
    for (const [deaths, seconds] of waits.entries()) {
      await eventually('it died', async () => (await fleet.state()).pending === 1);
      expect(folder.starts()).toHaveLength(deaths + 1);
      clock.advance(seconds * 1_000 - 1);
      expect((await fleet.state()).pending).toBe(1);
      clock.advance(1);
      await eventually('it is tried again', () => folder.starts().length === deaths + 2);
    }
    await eventually('it died', async () => (await fleet.state()).pending === 1);
    await expect(fleet.ping()).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it('bears a program that is not there', async () => {
    fleet = folder.fleet('good', clock, { command: [join(folder.dir.path, 'missing')] });
    await fleet.setDesired(1);
    await eventually('it waits to try again', async () => (await fleet.state()).pending === 1);
    await fleet.setDesired(0);
    await eventually('nobody is left', async () => (await fleet.state()).pending === 0);
  });

  it('gives a worker the role, its arguments, the data folder, and no keys or ports of other processes', async () => {
    const parent = {
      ...process.env,
      FOLDER: folder.dir.path,
      MODEL_NAME: 'm',
      SUPABASE_API_KEY: 'k',
      CALLBACK_SECRET: 'c',
      AWS_SECRET_ACCESS_KEY: 'a',
      PORT: '9',
      METRICS_PORT: '10',
    };
    fleet = folder.fleet('good', clock, { env: agentEnvironment(parent, '/data') });
    const [pid = 0] = await start(1);
    const given = JSON.parse(readFileSync(join(folder.dir.path, `ready-${pid}`), 'utf8'));
    expect(given.argv).toEqual(['--role', 'agent']);
    expect(given.env).toMatchObject({
      EUGLENA_ROLE: 'agent',
      EUGLENA_DATA_DIR: '/data',
      PORT: '0',
      METRICS_PORT: '',
      HOST: '127.0.0.1',
      MODEL_NAME: 'm',
    });
    expect(given.env).not.toHaveProperty('SUPABASE_API_KEY');
    expect(given.env).not.toHaveProperty('CALLBACK_SECRET');
    expect(given.env).not.toHaveProperty('AWS_SECRET_ACCESS_KEY');
  });
});

describe('when the parent is killed without a warning', () => {
  it('no worker outlives it', async () => {
    const folder = workerFolder();
    const parent = spawnParent(folder.dir.path, folder.script);
    try {
      const pids = await eventually('the workers are ready', () =>
        folder.living().length === 2 ? folder.living() : null,
      );
      parent.kill('SIGKILL');
      await eventually('the workers are gone', () => !pids.some(isAlive));
    } finally {
      parent.kill('SIGKILL');
      folder.dir.remove();
    }
  });
});

/** A process of its own that runs the fleet's real code. */
function spawnParent(folder: string, script: string): ChildProcess {
  const root = join(import.meta.dirname, '../..');
  const sources = [
    'config/system-clock.ts',
    'domain/errors.ts',
    'ports/fleet/agent-slot.ts',
    'ports/fleet/child-process-fleet.ts',
  ];
  for (const source of sources) {
    const { code } = transformFileSync(join(root, 'src', source), {
      swcrc: false,
      module: { type: 'es6' },
      jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
    });
    const target = join(folder, source.replace(/ts$/, 'js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, code);
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(
    join(folder, 'parent.js'),
    `import { systemClock as clock } from './config/system-clock.js';
     import { ChildProcessFleet } from './ports/fleet/child-process-fleet.js';
     const env = { ...process.env, FOLDER: ${JSON.stringify(folder)}, MODE: 'good' };
     await new ChildProcessFleet({ command: [process.execPath, ${JSON.stringify(script)}], env, clock }).setDesired(2);`,
  );
  return spawn(process.execPath, [join(folder, 'parent.js')], { stdio: 'ignore' });
}
