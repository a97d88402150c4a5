import { type ApiTask } from './api-client.js';
import { type Io } from './command.js';
import { plainJson, plainLine, plainText } from './plain-text.js';
import { paint, wantsColour } from './progress.js';

/** The answer and its sources, the same for the same result: nothing here depends on time. */
export function formatResult(
  { answer, sources, data, data_error: dataError }: NonNullable<ApiTask['result']>,
  colour = false,
): string {
  const lines = sources.flatMap(({ id, title, url }) => [
    `  ${paint('cyan', `[${plainLine(id)}]`, colour)} ${plainLine(title)}`,
    `  ${' '.repeat(plainLine(id).length + 2)} ${plainLine(url)}`,
  ]);
  const heading = paint('bold', 'Sources', colour);
  if (data !== null) lines.push('', paint('bold', 'Data', colour), plainJson(data));
  if (dataError !== null) lines.push('', `No data: ${plainLine(dataError)}`);
  return [plainText(answer).trim(), ...(sources.length === 0 ? lines : ['', heading, ...lines]), ''].join(
    '\n',
  );
}

/** Prints how a task ended and gives the exit code: 0 with an answer, 1 without. */
export function reportOutcome(task: ApiTask, { stdout, stderr, env }: Io): number {
  const { result, error, status, usage } = task;
  if (status !== 'completed' || result === null) {
    const reason =
      error === null ? `The task is ${status.replace('_', ' ')}.` : `${error.message} (${error.code})`;
    stderr.write(`euglena: ${plainLine(reason)}\n`);
    return 1;
  }
  stdout.write(formatResult(result, wantsColour(stdout, env)));
  const how = result.exit_reason === 'max_ticks' ? 'Best known when the budget ended' : 'Answered';
  const about = `${how}: ${usage.ticks} of ${task.max_ticks} ticks, ${plainLine(result.model)}, receipt ${plainLine(result.receipt)}`;
  stderr.write(`${paint('dim', about, wantsColour(stderr, env))}\n`);
  return 0;
}
