import { readFileSync } from 'node:fs';
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { type Environment } from '../config/settings.js';
import { TICKS_MAX } from '../domain/envelope.js';

/** Where a command writes: `process.stdout` and `process.stderr` are two. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** What a command has of the world. Results go to `stdout`, everything else to `stderr`. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Environment;
}

export interface Command {
  /** Its arguments, as the help shows them. */
  readonly usage: string;
  readonly summary: string;
  /** Resolves with the exit code. */
  run(args: readonly string[], io: Io): Promise<number>;
}

/** The command line cannot be understood: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** An expected failure that a person reads as one line: exit code 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** What an error says, whatever was thrown. */
export function messageOf(error: unknown): string {
  const message = (error as { message?: unknown } | null)?.message;
  return typeof message === 'string' && message !== '' ? message : 'something went wrong';
}

/**
 * Splits arguments into flags and exactly the positional ones that are named.
 * @throws UsageError for unknown flags, and for too many or too few arguments.
 */
export function parse<T extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: T,
  names: readonly string[] = [],
) {
  const parsed = parseStrictly(args, options);
  const missing = names[parsed.positionals.length];
  if (missing !== undefined) throw new UsageError(`${missing} is missing`);
  const extra = parsed.positionals[names.length];
  if (extra !== undefined)
    throw new UsageError(`"${extra}" is one argument too many; quote texts with spaces`);
  return { flags: parsed.values, positionals: parsed.positionals };
}

function parseStrictly<T extends ParseArgsOptionsConfig>(args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** @throws UsageError unless `text` is a whole number within the bounds. */
export function wholeNumber(text: string, flag: string, min: number, max: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${flag} must be a whole number from ${min} to ${max}`);
}

/**
 * The schema in the file that `--output-schema` names.
 * @throws CommandError when the file cannot be read or holds no JSON object.
 */
export function outputSchema(path: string | undefined): object | undefined {
  if (path === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CommandError(`${path} cannot be read as JSON: ${messageOf(error)}`);
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json;
  throw new CommandError(`${path} holds no JSON object.`);
}

/** The budget that `--max-ticks` gives. */
export function maxTicks(text: string): number {
  return wholeNumber(text, '--max-ticks', 1, TICKS_MAX);
}
