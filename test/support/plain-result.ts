import { type TaskResult } from '../../src/domain/task.js';

/** What a worker ends a task with that read nothing: an answer without sources. */
export function plainResult(answer = '42', model = 'none'): Omit<TaskResult, 'receipt'> {
  return { answer, exitReason: 'answered', sources: [], unsupported: [], data: null, dataError: null, model };
}
