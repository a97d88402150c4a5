import { type ApiClient, type ApiTask } from './api-client.js';
import { GATEWAY_FLAGS, GATEWAY_USAGE, gatewayClient } from './access.js';
import { type Command, type Io, parse } from './command.js';
import { reportOutcome } from './outcome.js';
import { Progress } from './progress.js';

/** Shows a task's ticks until it has ended, and answers the task. */
export async function watchTask(
  client: ApiClient,
  id: string,
  { stderr, env }: Pick<Io, 'stderr' | 'env'>,
  signal?: AbortSignal,
): Promise<ApiTask> {
  const progress = new Progress(stderr, env);
  try {
    for await (const entry of client.follow(id, signal)) progress.show(entry);
  } finally {
    progress.clear();
  }
  return client.find(id);
}

export const watch: Command = {
  usage: `<task> ${GATEWAY_USAGE}`,
  summary: 'Follow a task as it goes and print its answer',
  async run(args, io) {
    const { flags, positionals } = parse(args, GATEWAY_FLAGS, ['the id of the task']);
    const client = await gatewayClient(flags, io.env);
    return reportOutcome(await watchTask(client, positionals[0] ?? '', io), io);
  },
};
