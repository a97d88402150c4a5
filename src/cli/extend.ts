import { TICKS_MAX } from '../domain/envelope.js';
import { GATEWAY_FLAGS, GATEWAY_USAGE, gatewayClient } from './access.js';
import { type Command, parse, UsageError, wholeNumber } from './command.js';
import { plainLine } from './plain-text.js';

export const extend: Command = {
  usage: `<task> --ticks n ${GATEWAY_USAGE}`,
  summary: 'Give a completed or failed task more ticks and print its id; it goes on from its journal',
  async run(args, { stdout, env }) {
    const options = { ...GATEWAY_FLAGS, ticks: { type: 'string' } } as const;
    const { flags, positionals } = parse(args, options, ['the id of the task']);
    if (flags.ticks === undefined) throw new UsageError('--ticks is missing');
    const ticks = wholeNumber(flags.ticks, '--ticks', 1, TICKS_MAX - 1);
    const client = await gatewayClient(flags, env);
    const task = await client.extend(positionals[0] ?? '', ticks);
    stdout.write(`${plainLine(task.correlation_id)}\n`);
    return 0;
  },
};
