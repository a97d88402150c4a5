import { stdout } from 'node:process';
import { type LoggerService } from '@nestjs/common';
import { type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import { LogLine } from '../observability/log-line.js';
import { type Settings } from '../config/settings.js';

/** Nest's own start-up chatter; each line of it would say what the banner says better. */
const CHATTER = new Set([
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestFactory',
  'NestApplication',
]);

/** Structured logs: JSON lines on stdout, or readable ones on a terminal. */
export class PinoLogger implements LoggerService {
  private readonly pino: Logger;

  constructor({ logLevel, role }: Pick<Settings, 'logLevel' | 'role'>) {
    const options = { level: logLevel, base: { role } };
    this.pino = stdout.isTTY
      ? pino(options, PinoPretty({ colorize: true, ignore: 'role', translateTime: 'HH:MM:ss', sync: true }))
      : pino(options);
  }

  log(message: unknown, context?: string): void {
    if (context === undefined || !CHATTER.has(context))
      this.pino.info(fields(message, context), text(message));
  }

  warn(message: unknown, context?: string): void {
    this.pino.warn(fields(message, context), text(message));
  }

  error(message: unknown, ...rest: unknown[]): void {
    const context = rest.at(-1);
    const stack = rest.length > 1 && typeof rest[0] === 'string' ? rest[0] : undefined;
    this.pino.error({ ...fields(message, context), stack }, text(message));
  }

  debug(message: unknown, context?: string): void {
    this.pino.debug(fields(message, context), text(message));
  }

  verbose(message: unknown, context?: string): void {
    this.pino.trace(fields(message, context), text(message));
  }

  fatal(message: unknown, context?: string): void {
    this.pino.fatal(fields(message, context), text(message));
  }
}

/** The ids that a line is about, under the names of the API. */
function fields(message: unknown, context: unknown): Record<string, unknown> {
  if (!(message instanceof LogLine)) return { context };
  const { task, user, request } = message.about;
  return { context, correlation_id: task, user_id: user, request_id: request };
}

function text(message: unknown): string {
  if (message instanceof LogLine) return message.text;
  if (typeof message === 'string') return message;
  return message instanceof Error ? message.message : JSON.stringify(message);
}
