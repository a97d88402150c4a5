import { Logger } from '@nestjs/common';
import { chooseAdapter, portsOf } from '../config/adapter-choice.js';
import { type PortName } from '../config/known-settings.js';
import { type Settings } from '../config/settings.js';
import { type Clock } from '../domain/clock.js';
import { EuglenaError } from '../domain/errors.js';
import { type HealthService, type Problem } from './health.service.js';

const ASK_EVERY_MS = 1_000;
const SAY_EVERY_MS = 10_000;

/** A server elsewhere that serves some of the role's ports. */
interface Engine {
  readonly name: string;
  /** Host and port, without credentials. */
  readonly place: string;
  readonly ports: readonly PortName[];
}

/** An engine that does not serve, and the adapter's word for why. */
interface MissingEngine extends Engine {
  readonly reason: string;
  readonly refused: boolean;
}

/**
 * Resolves when every engine of the role serves, or when the signal aborts. Whoever looks sees what it waits for.
 * @throws EuglenaError that names each missing engine: at once when one of them refuses, else after `ENGINE_WAIT_SECONDS`.
 */
export async function waitForEngines(
  health: Pick<HealthService, 'problems'>,
  settings: Settings,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const engines = enginesOf(settings);
  if (engines.length === 0) return;
  const logger = new Logger('Start');
  const stopped = new Promise<readonly Problem[]>((resolve) => {
    signal.addEventListener('abort', () => resolve([]), { once: true });
  });
  const limitMs = settings.engineWaitMs;
  const start = clock.now();
  for (let sayAt = start; !signal.aborted; await sleep(clock, signal)) {
    const missing = missingAmong(engines, await Promise.race([health.problems(), stopped]));
    if (missing.length === 0) return;
    const refusing = missing.filter(({ refused }) => refused);
    if (refusing.length > 0) throw failure(refusing);
    const now = clock.now();
    if (now - start >= limitMs) throw failure(missing, `Waited ${limitMs / 1_000} s (ENGINE_WAIT_SECONDS).`);
    if (now < sayAt) continue;
    sayAt = now + SAY_EVERY_MS;
    const names = missing.map(({ name, place }) => `${name} at ${place}`).join(' and ');
    logger.warn(`Waiting for ${names} (${Math.floor((now - start) / 1_000)} of ${limitMs / 1_000} s)…`);
  }
}

function enginesOf(settings: Settings): Engine[] {
  const addresses = Object.entries({
    Redis: settings.redisUrl,
    RabbitMQ: settings.rabbitmqUrl,
    ChromaDB: settings.chromaUrl,
  });
  return addresses.flatMap(([name, url]) => {
    const ports = portsOf(settings).filter((port) => chooseAdapter(port, settings).adapter === name);
    return url === null || ports.length === 0 ? [] : [{ name, place: new URL(url).host, ports }];
  });
}

function missingAmong(engines: readonly Engine[], problems: readonly Problem[]): MissingEngine[] {
  return engines.flatMap((engine) => {
    const own = problems.filter(({ component }) => engine.ports.some((port) => port === component));
    const worst = own.find(({ refused }) => refused) ?? own[0];
    return worst === undefined ? [] : [{ ...engine, reason: worst.reason, refused: worst.refused }];
  });
}

function failure(missing: readonly MissingEngine[], ...more: string[]): EuglenaError {
  const lines = missing.map(({ name, place, reason }) =>
    reason.includes(`${name} at `) ? reason : `${name} at ${place}: ${reason.replace(/\.?$/, '.')}`,
  );
  return new EuglenaError('engine_unavailable', [...lines, ...more].join(' '));
}

async function sleep(clock: Clock, signal: AbortSignal): Promise<void> {
  await clock.sleep(ASK_EVERY_MS, signal).catch(() => undefined);
}
