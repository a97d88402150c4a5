import { GATEWAY_FLAGS, GATEWAY_USAGE, gatewayClient } from './access.js';
import { type Command, maxTicks, outputSchema, parse } from './command.js';
import { plainLine } from './plain-text.js';

export const submit: Command = {
  usage: `"<mandate>" [--max-ticks n] [--output-schema file] ${GATEWAY_USAGE}`,
  summary: 'Hand a mandate to a gateway and print the id of the task',
  async run(args, { stdout, env }) {
    const options = {
      ...GATEWAY_FLAGS,
      'max-ticks': { type: 'string' },
      'output-schema': { type: 'string' },
    } as const;
    const { flags, positionals } = parse(args, options, ['the mandate']);
    const ticks = flags['max-ticks'];
    const budget = ticks === undefined ? undefined : maxTicks(ticks);
    const schema = outputSchema(flags['output-schema']);
    const client = await gatewayClient(flags, env);
    const task = await client.submit(positionals[0] ?? '', budget, schema);
    stdout.write(`${plainLine(task.correlation_id)}\n`);
    return 0;
  },
};
