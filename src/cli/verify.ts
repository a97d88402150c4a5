import { readFileSync, writeFileSync } from 'node:fs';
import { entryFromJson, entryToJson, type JournalEntry } from '../domain/journal.js';
import { GATEWAY_FLAGS, GATEWAY_USAGE, gatewayClient } from './access.js';
import { type ApiTask, readTask } from './api-client.js';
import { type Command, CommandError, messageOf, parse } from './command.js';
import { plainLine } from './plain-text.js';
import { checkReceipt } from './receipt.js';

const FLAGS = {
  ...GATEWAY_FLAGS,
  save: { type: 'string' },
  offline: { type: 'boolean', default: false },
} as const;

interface Evidence {
  readonly task: ApiTask;
  readonly journal: readonly JournalEntry[];
}

export const verify: Command = {
  usage: `<task> [--save file] ${GATEWAY_USAGE} | <file> --offline`,
  summary: "Check a task's receipt against its whole journal",
  async run(args, { stdout, env }) {
    const { flags, positionals } = parse(args, FLAGS, ['the id of the task']);
    const given = positionals[0] ?? '';
    const evidence = flags.offline ? readEvidence(given) : await fetchEvidence(given, flags, env);
    if (flags.save !== undefined) saveEvidence(flags.save, evidence);
    const { task, journal } = evidence;
    const { entries, ticks } = checkReceipt(task, journal);
    stdout.write(`The chain of ${entries} entries holds.\n`);
    const receipt = task.result === null ? 'none: the task has no result' : plainLine(task.result.receipt);
    stdout.write(`Receipt: ${receipt}\nTicks charged: ${ticks}\n`);
    return 0;
  },
};

async function fetchEvidence(
  id: string,
  flags: Parameters<typeof gatewayClient>[0],
  env: Parameters<typeof gatewayClient>[1],
): Promise<Evidence> {
  const client = await gatewayClient(flags, env);
  const task = await client.find(id);
  if (task.status === 'in_queue' || task.status === 'in_progress') {
    throw new CommandError('The task has not ended yet, so it has no receipt.');
  }
  const journal: JournalEntry[] = [];
  for await (const entry of client.follow(id)) journal.push(entry);
  return { task, journal };
}

function saveEvidence(path: string, { task, journal }: Evidence): void {
  try {
    writeFileSync(path, `${JSON.stringify({ task, journal: journal.map(entryToJson) }, null, 2)}\n`);
  } catch (error) {
    throw new CommandError(`${path} cannot be written: ${messageOf(error)}`);
  }
}

/** What {@link saveEvidence} wrote, whoever had it in hand since. */
function readEvidence(path: string): Evidence {
  let json: { task?: unknown; journal?: unknown } | null;
  try {
    json = JSON.parse(readFileSync(path, 'utf8')) as typeof json;
  } catch (error) {
    throw new CommandError(`${path} cannot be read as JSON: ${messageOf(error)}`);
  }
  const task = readTask(json?.task);
  const listed: unknown[] = Array.isArray(json?.journal) ? json.journal : [];
  if (task === null) throw new CommandError(`${path} holds no task with its journal.`);
  const journal = listed.map((entry, index) => {
    const read = entryFromJson(entry);
    if (read === null) throw new CommandError(`Entry ${index + 1} of the journal cannot be read.`);
    return read;
  });
  return { task, journal };
}
