import { systemClock } from '../config/system-clock.js';
import { ApiClient } from './api-client.js';
import { developmentToken, localSettings } from './access.js';
import { type Command, type Io, maxTicks, outputSchema, parse } from './command.js';
import { reportOutcome } from './outcome.js';
import { plainJson } from './plain-text.js';
import { watchTask } from './watch.js';

/** Exit code of a program that Ctrl-C ended: 128 + SIGINT. */
const INTERRUPTED = 130;

export const ask: Command = {
  usage: '"<mandate>" [--max-ticks n=12] [--output-schema file] [--json]',
  summary: 'Ask one question with everything in this process, and print the answer with its sources',
  async run(args, io) {
    const { flags, positionals } = parse(
      args,
      {
        'max-ticks': { type: 'string', default: '12' },
        'output-schema': { type: 'string' },
        json: { type: 'boolean', default: false },
      },
      ['the mandate'],
    );
    const question = {
      mandate: positionals[0] ?? '',
      ticks: maxTicks(flags['max-ticks']),
      schema: outputSchema(flags['output-schema']),
      json: flags.json,
    };
    const settings = localSettings(io.env);
    const { startRole } = await import('../boot/start-role.js');
    const role = await startRole(settings);
    try {
      const client = new ApiClient(
        role.url.replace(/\/+$/, ''),
        await developmentToken(settings),
        systemClock,
      );
      return await answer(client, question, io);
    } finally {
      await role.close();
    }
  },
};

/** Ctrl-C once cancels the task; twice ends the process at once, as it always does. */
async function answer(
  client: ApiClient,
  {
    mandate,
    ticks,
    schema,
    json,
  }: { mandate: string; ticks: number; schema: object | undefined; json: boolean },
  io: Io,
): Promise<number> {
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  process.once('SIGINT', interrupt);
  try {
    const { correlation_id: id } = await client.submit(mandate, ticks, schema);
    const stderr = json ? { write: () => true } : io.stderr;
    const task = await watchTask(client, id, { ...io, stderr }, stop.signal).catch(async (error: unknown) => {
      if (!stop.signal.aborted) throw error;
      return client.cancel(id);
    });
    if (json) io.stdout.write(`${plainJson(task)}\n`);
    if (stop.signal.aborted) return interrupted(io);
    return json && task.status === 'completed' ? 0 : reportOutcome(task, io);
  } finally {
    process.off('SIGINT', interrupt);
  }
}

function interrupted({ stderr }: Io): number {
  stderr.write('euglena: The task was cancelled.\n');
  return INTERRUPTED;
}
