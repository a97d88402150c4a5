import { findBreak, type JournalEntry, sha256 } from '../domain/journal.js';
import { type ApiTask } from './api-client.js';
import { GATEWAY_FLAGS, GATEWAY_USAGE, gatewayClient } from './access.js';
import { type Command, CommandError, parse } from './command.js';
import { plainLine } from './plain-text.js';

/**
 * Checks a journal against the task that it belongs to.
 * @returns the ticks that the journal charges.
 * @throws CommandError that says what does not hold.
 */
export function checkJournal(task: ApiTask, entries: readonly JournalEntry[]): number {
  const broken = findBreak(entries);
  if (broken !== null) throw new CommandError(`The chain of hashes breaks at entry ${broken.seq}.`);
  const last = entries.at(-1);
  if (last?.type !== 'finished') throw new CommandError('The journal does not end with the end of the task.');
  if (task.result !== null && task.result.receipt !== last.hash) {
    throw new CommandError("The result's receipt is not the head of the journal.");
  }
  if (task.result !== null && last.data.answer_sha256 !== sha256(task.result.answer)) {
    throw new CommandError('The answer is not the one that the journal recorded.');
  }
  const ticks = entries.filter(({ type }) => type === 'tick').length;
  if (ticks !== task.usage.ticks) {
    throw new CommandError(`The task charges ${task.usage.ticks} ticks, but its journal has ${ticks}.`);
  }
  return ticks;
}

export const verify: Command = {
  usage: `<task> ${GATEWAY_USAGE}`,
  summary: "Check a task's receipt against its whole journal",
  async run(args, { stdout, env }) {
    const { flags, positionals } = parse(args, GATEWAY_FLAGS, ['the id of the task']);
    const client = await gatewayClient(flags, env);
    const id = positionals[0] ?? '';
    const task = await client.find(id);
    if (task.status === 'in_queue' || task.status === 'in_progress') {
      throw new CommandError('The task has not ended yet, so it has no receipt.');
    }
    const entries: JournalEntry[] = [];
    for await (const entry of client.follow(id)) entries.push(entry);
    const ticks = checkJournal(task, entries);
    stdout.write(`The chain of ${entries.length} entries holds.\n`);
    const receipt = task.result === null ? 'none: the task has no result' : plainLine(task.result.receipt);
    stdout.write(`Receipt: ${receipt}\nTicks charged: ${ticks}\n`);
    return 0;
  },
};
