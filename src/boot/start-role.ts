import { type AddressInfo } from 'node:net';
import { type NestFastifyApplication } from '@nestjs/platform-fastify';
import { forbiddenFallbacks } from '../config/adapter-choice.js';
import { InvalidSettings, type Settings } from '../config/settings.js';
import { systemClock } from '../config/system-clock.js';
import { EmbeddedDatabaseHandle } from '../ports/embedded/embedded-database.module.js';
import { waitForEngines } from './engine-wait.js';
import { HealthService } from './health.service.js';
import { createHttpApp } from './http-server.js';
import { observe } from './observe.js';
import { PinoLogger } from './pino-logger.js';
import { rootModule } from './role-graph.js';

/** How long a gateway goes on serving after it said that it is not ready, in ms. */
const UNREADY_MS = 5_000;

/** A role that serves. */
export interface RunningRole {
  /** Where it listens, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly settings: Settings;
  /** Not ready any more, drains, ends every connection, closes the engines. Idempotent. */
  close(): Promise<void>;
}

/**
 * Builds the graph of a role, listens, and then waits until the role's engines serve. `stop` ends the waiting: the role is
 * answered as it is, to be closed.
 * @throws InvalidSettings when production would fall back to embedded adapters that were not allowed.
 * @throws PortTaken when something else listens there.
 * @throws EuglenaError `engine_unavailable` when an engine refuses, or is still missing after `ENGINE_WAIT_SECONDS`.
 */
export async function startRole(
  settings: Settings,
  stop = new AbortController().signal,
): Promise<RunningRole> {
  refuseForbiddenFallbacks(settings);
  const stopObserving = await observe(settings);
  const app = await createHttpApp(rootModule(settings, systemClock), settings, new PinoLogger(settings));
  const role = await listen(app, settings, stopObserving);
  try {
    await waitForEngines(app.get(HealthService, { strict: false }), settings, systemClock, stop);
  } catch (error) {
    // What goes wrong while it closes is no news beside the engine that is missing.
    await role.close().catch(() => undefined);
    throw error;
  }
  return role;
}

function refuseForbiddenFallbacks(settings: Settings): void {
  const forbidden = forbiddenFallbacks(settings);
  if (forbidden.length === 0) return;
  throw new InvalidSettings(
    forbidden.map(
      (port) =>
        `${port}: no engine is set for it, and EUGLENA_ALLOW_EMBEDDED does not name it (NODE_ENV=production)`,
    ),
  );
}

async function listen(
  app: NestFastifyApplication,
  settings: Settings,
  stopObserving: () => Promise<void>,
): Promise<RunningRole> {
  const database = app.get(EmbeddedDatabaseHandle, { strict: false });
  try {
    await app.listen(settings.port, settings.host);
  } catch (error) {
    await app.close();
    database.close();
    await stopObserving();
    throw (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? new PortTaken(settings) : error;
  }
  const { port } = app.getHttpServer().address() as AddressInfo;
  const host = settings.host === '0.0.0.0' || settings.host === '::' ? '127.0.0.1' : settings.host;
  let closing: Promise<void> | undefined;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    settings,
    close: () => {
      closing ??= (async () => {
        app.get(HealthService, { strict: false }).markDraining();
        if (isBalanced(settings)) await systemClock.sleep(UNREADY_MS);
        await app.close();
        database.close();
        await stopObserving();
      })();
      return closing;
    },
  };
}

/** Whether a load balancer stands in front, which must see that the process is not ready before it stops to listen. */
function isBalanced({ production, role }: Settings): boolean {
  return production && role === 'gateway';
}

/** Something else listens on the role's port. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken';
  constructor({ port, host }: Pick<Settings, 'port' | 'host'>) {
    super(`Port ${port} on ${host} is taken. Stop what listens there, or set PORT to a free one.`);
  }
}
