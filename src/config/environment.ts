import { existsSync, readFileSync } from 'node:fs';
import { env, cwd } from 'node:process';
import { join } from 'node:path';
import { parseArgs, parseEnv } from 'node:util';
import { type Environment, InvalidSettings } from './settings.js';

/**
 * The environment that settings are read from: the process's own, over `.env` of the working folder, and the flags `--role`
 * and `--autoscale` over both.
 * @throws InvalidSettings when a flag is unknown or `.env` cannot be read.
 */
export function loadEnvironment(argv: readonly string[] = []): Environment {
  return { ...dotEnv(join(cwd(), '.env')), ...env, ...flags(argv) };
}

function dotEnv(path: string): Environment {
  if (!existsSync(path)) return {};
  try {
    return parseEnv(readFileSync(path, 'utf8'));
  } catch {
    throw new InvalidSettings([`.env: the file exists but cannot be read (${path})`]);
  }
}

function flags(argv: readonly string[]): Environment {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: { role: { type: 'string' }, autoscale: { type: 'boolean' } },
      strict: true,
    });
    return {
      ...(values.role === undefined ? {} : { EUGLENA_ROLE: values.role }),
      ...(values.autoscale === undefined ? {} : { EUGLENA_AUTOSCALE: String(values.autoscale) }),
    };
  } catch (error) {
    throw new InvalidSettings([error instanceof Error ? error.message : 'the command line cannot be read']);
  }
}
