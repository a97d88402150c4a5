import { type Role } from '../../src/config/known-settings.js';
import { systemClock } from '../../src/config/system-clock.js';
import { type JournalEntry } from '../../src/domain/journal.js';
import { EmbeddedDatabase } from '../../src/ports/embedded/embedded-database.js';
import { issueLocalToken } from '../../src/ports/identity/local-secret.js';
import { temporaryDataDir } from './data-dir.js';
import { EuglenaApi } from './euglena-api.js';
import { type EuglenaProcess, startEuglena } from './euglena-process.js';
import { type ModelAnswer, startModelServer } from './model-server.js';

export const ALICE = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
export const BOB = 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb';

/** What the model is asked: which tick of which mandate, for the how-manieth time, and when (epoch ms). */
export interface Question {
  readonly mandate: string;
  readonly tick: number;
  readonly times: number;
  readonly at: number;
}

/** Heartbeats each second make a lease 3 s long; nothing limits how often a test may ask, or how much. */
const ENVIRONMENT = {
  AGENT_STATUS_TIME: '1',
  DAILY_TICK_LIMIT: '100000',
  RATE_LIMIT_PER_MINUTE: '1000000',
  USER_MAX_ACTIVE_TASKS: '100000',
};

/** One data folder, one scripted model, and the processes that a test starts on them. */
export async function openStage(script: (question: Question) => ModelAnswer) {
  const dataDir = temporaryDataDir();
  const questions: Question[] = [];
  const processes: EuglenaProcess[] = [];
  const model = await startModelServer({
    script: ({ messages }) => {
      const mandate = messages[1]?.content.replace('Mandate:\n', '') ?? '';
      const tick = Number(/This is tick (\d+) of/.exec(messages.at(-1)?.content ?? '')?.[1]);
      const before = questions.filter((asked) => asked.mandate === mandate && asked.tick === tick).length;
      const question = { mandate, tick, times: before + 1, at: Date.now() };
      questions.push(question);
      return script(question);
    },
  });

  return {
    dataDir: dataDir.path,
    model,
    /** Everything that the model was asked so far. */
    questions: questions as readonly Question[],
    start: async (role: Role, env: Readonly<Record<string, string>> = {}): Promise<EuglenaProcess> => {
      const all = { ...ENVIRONMENT, MODEL_API_URL: model.url, ...env };
      const started = await startEuglena(role, dataDir.path, all);
      processes.push(started);
      return started;
    },
    api: async ({ url }: EuglenaProcess, subject = ALICE): Promise<EuglenaApi> => {
      const token = await issueLocalToken({
        dataDir: dataDir.path,
        subject,
        ttlSeconds: 3_600,
        clock: systemClock,
      });
      return new EuglenaApi(url, token);
    },
    /** What is still to be done, by anybody, once every task has ended: all 0. */
    leftToDo: () => {
      const database = EmbeddedDatabase.open(dataDir.path);
      try {
        return database.get<Record<string, number>>(
          `SELECT (SELECT count(*) FROM queue_messages) AS messages,
            (SELECT count(*) FROM queue_dead_letters) AS dead,
            (SELECT count(*) FROM task_outbox) AS outbox,
            (SELECT count(*) FROM task_settlements) AS settlements`,
        );
      } finally {
        database.close();
      }
    },
    close: async () => {
      await Promise.all(processes.map((one) => one.kill('SIGKILL')));
      await model.close();
      dataDir.remove();
    },
  };
}

export type Stage = Awaited<ReturnType<typeof openStage>>;

/** Says `ticks - 1` times THINK and then EXIT, each after `delayMs`. */
export function thinker(ticks: number, delayMs = 0): (question: Question) => ModelAnswer {
  return ({ mandate, tick }) =>
    tick < ticks
      ? { action: 'THINK', argument: `step ${tick}`, delayMs }
      : { action: 'EXIT', argument: `answer to ${mandate}`, delayMs };
}

/** The numbers of the ticks in a journal, in its order. */
export function ticksOf(journal: readonly JournalEntry[]): unknown[] {
  return journal.filter(({ type }) => type === 'tick').map(({ data }) => data.tick);
}

/** The questions that a journal had already answered when they were asked. */
export function askedAgain(
  questions: readonly Question[],
  mandate: string,
  journal: readonly JournalEntry[],
): Question[] {
  const answered = journal.filter(({ type }) => type === 'tick');
  return questions.filter(
    ({ tick, at, ...asked }) =>
      asked.mandate === mandate && answered.some((entry) => entry.data.tick === tick && entry.at < at),
  );
}
