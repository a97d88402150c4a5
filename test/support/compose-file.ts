import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { PROJECT } from './dockerfile.js';

const VARIABLE = /\$\{(\w+)(?::-([^}]*))?\}/g;

export interface ComposeService {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly restart?: string;
  readonly stop_grace_period?: string;
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** docker-compose.yml as Compose reads it when these variables are set. */
export function readComposeFile(env: Readonly<Record<string, string>> = {}): ComposeFile {
  const text = readFileSync(`${PROJECT}docker-compose.yml`, 'utf8');
  return interpolate(parse(text, { merge: true }), env) as ComposeFile;
}

/** Fills in variables where Compose does: in values, after the file was parsed. */
function interpolate(value: unknown, env: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') {
    return value.replaceAll(VARIABLE, (_, name: string, fallback = '') => env[name] || String(fallback));
  }
  if (Array.isArray(value)) return value.map((item) => interpolate(item, env));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, interpolate(item, env)]));
}

/** What Compose sets in a service's container. */
export function environmentOf({ environment = {} }: ComposeService): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, String(value)]));
}

/** The program and arguments of a service's health check. */
export function healthCheckOf({ healthcheck }: ComposeService): string[] {
  const [kind, ...words] = healthcheck?.test ?? [];
  if (kind === 'CMD') return words;
  if (kind === 'CMD-SHELL' && words.length === 1) return ['sh', '-c', ...words];
  throw new Error(`no health check: ${JSON.stringify(healthcheck)}`);
}
