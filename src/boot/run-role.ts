import process from 'node:process';
import { loadEnvironment } from '../config/environment.js';
import { InvalidSettings, readSettings } from '../config/settings.js';
import { EuglenaError } from '../domain/errors.js';
import { printBanner } from './banner.js';
import { PortTaken, type RunningRole, startRole } from './start-role.js';

/** A drain that takes longer than this is cut off, in ms. */
const DRAIN_LIMIT_MS = 45_000;

/** Starts the role that flags and environment name, and runs it until SIGTERM or SIGINT. Exits 1 when it cannot start. */
export async function runRole(argv: readonly string[]): Promise<void> {
  const stopRequested = new AbortController();
  let running: RunningRole | undefined;
  const stop = () => {
    stopRequested.abort();
    if (running) void drain(running);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  // An agent that a fleet started ends with it, also when the fleet's process was killed.
  if (process.send) {
    process.once('disconnect', stop);
    process.channel?.unref();
  }
  try {
    running = await startRole(readSettings(loadEnvironment(argv)), stopRequested.signal);
    if (stopRequested.signal.aborted) return await drain(running);
    await printBanner(running);
  } catch (error) {
    process.stderr.write(`${startFailure(error)}\n`);
    process.exit(1);
  }
}

async function drain(running: RunningRole): Promise<void> {
  setTimeout(() => process.exit(1), DRAIN_LIMIT_MS).unref();
  try {
    await running.close();
    process.exit(0);
  } catch (error) {
    process.stderr.write(
      `The role did not stop cleanly: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exit(1);
  }
}

function startFailure(error: unknown): string {
  if (error instanceof InvalidSettings || error instanceof PortTaken || error instanceof EuglenaError) {
    return `Euglena did not start. ${error.message}`;
  }
  return `Euglena did not start. ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
