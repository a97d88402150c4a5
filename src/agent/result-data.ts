import { type OutputSchema } from '../domain/output-schema.js';
import { type TaskResult } from '../domain/task.js';
import { dataProblem } from '../output-schema/output-schema.js';

/** The data of a result: what follows the schema, or the reason why there is none. */
export function resultData(
  schema: OutputSchema | null,
  data: unknown,
): Pick<TaskResult, 'data' | 'dataError'> {
  if (schema === null) return { data: null, dataError: null };
  const problem = dataProblem(schema, data);
  // A schema that nobody checked may take other values than objects.
  const isObject = typeof data === 'object' && data !== null && !Array.isArray(data);
  if (problem === null && isObject)
    return { data: data as Readonly<Record<string, unknown>>, dataError: null };
  return { data: null, dataError: problem ?? 'the data is no JSON object' };
}
