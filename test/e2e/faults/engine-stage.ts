import { randomUUID } from 'node:crypto';
import { type JournalEntry } from '../../../src/domain/journal.js';
import { type EuglenaApi } from '../../support/euglena-api.js';
import { type EuglenaProcess } from '../../support/euglena-process.js';
import { type ModelAnswer } from '../../support/model-server.js';
import { openStage, type Question, type Stage, thinker } from '../../support/stage.js';

export type Script = (question: Question) => ModelAnswer;

/** Where the engines of a file's faults are, through a proxy or not. */
export interface EngineUrls {
  readonly redis: string;
  readonly rabbitmq: string;
  readonly chroma?: string;
}

/** One gateway on real engines for the faults of a file. Each fault brings its agents, and says what the model answers. */
export interface EngineStage {
  readonly stage: Stage;
  readonly api: EuglenaApi;
  readonly queue: string;
  /** What every role of this stage is started with. */
  readonly env: Readonly<Record<string, string>>;
  /** A mandate that nobody else has, answered by `script`. */
  mandate(script: Script): string;
  /** An agent on these engines, until {@link leave}. */
  agent(env?: Readonly<Record<string, string>>): Promise<EuglenaProcess>;
  /** Every agent goes, and says so. */
  leave(): Promise<void>;
  close(): Promise<void>;
}

export async function openEngineStage(engines: EngineUrls): Promise<EngineStage> {
  const scripts = new Map<string, Script>();
  const plain = thinker(1);
  const stage = await openStage((question) => (scripts.get(question.mandate) ?? plain)(question));
  const queue = `faults.${randomUUID()}`;
  const env = {
    REDIS_URL: engines.redis,
    RABBITMQ_URL: engines.rabbitmq,
    QUEUE_NAME: queue,
    ...(engines.chroma === undefined ? {} : { CHROMA_URL: engines.chroma }),
  };
  const agents: EuglenaProcess[] = [];
  const api = await stage.api(await stage.start('gateway', env));
  return {
    stage,
    api,
    queue,
    env,
    mandate: (script) => {
      const mandate = `mandate ${scripts.size + 1}`;
      scripts.set(mandate, script);
      return mandate;
    },
    agent: async (own = {}) => {
      const agent = await stage.start('agent', { ...env, ...own });
      agents.push(agent);
      return agent;
    },
    leave: async () => {
      await Promise.all(
        agents.splice(0).map((agent) => {
          agent.signal('SIGCONT');
          return agent.kill('SIGTERM');
        }),
      );
    },
    close: () => stage.close(),
  };
}

/** `NODE_OPTIONS` with which a process runs `code` when it gets SIGUSR2: what no client could make it do. */
export function onSigusr2(code: string, ...options: string[]): Record<string, string> {
  return { NODE_OPTIONS: [...options, atStart(`process.on('SIGUSR2', () => { ${code} });`)].join(' ') };
}

/** The option of Node with which a process runs `code` before anything else. */
export function atStart(code: string): string {
  return `--import=data:text/javascript;base64,${Buffer.from(code).toString('base64')}`;
}

/** Who took a task, one after the other. */
export function workersOf(journal: readonly JournalEntry[]): unknown[] {
  return journal.filter(({ type }) => type === 'accepted').map(({ data }) => data.worker_id);
}
