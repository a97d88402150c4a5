import { EuglenaError } from '../domain/errors.js';

/** When to look again, in seconds: a guess, as nobody knows when a task ends. */
const RETRY_SECONDS = 10;

/** 429: the user has as many unfinished tasks as `USER_MAX_ACTIVE_TASKS` allows. */
export class TooManyActiveTasks extends EuglenaError {
  constructor(limit: number | undefined) {
    super(
      'too_many_active_tasks',
      `You have ${limit ?? 'too many'} unfinished tasks, as many as you may. Wait for one to end, or cancel one.`,
      { retryAfterSeconds: RETRY_SECONDS },
    );
  }
}
