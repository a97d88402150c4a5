import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { Worker } from '../../src/agent/worker.js';
import { readSettings, type Environment } from '../../src/config/settings.js';
import { encodeEnvelope } from '../../src/domain/envelope.js';
import { isTerminal } from '../../src/domain/lifecycle.js';
import { type OutputSchema } from '../../src/domain/output-schema.js';
import { type TaskRecord } from '../../src/domain/task.js';
import { envelopeOf, submission } from '../../src/domain/task-change.js';
import { type AgentMemory } from '../../src/ports/agent-memory/agent-memory.port.js';
import { SqliteAgentMemory } from '../../src/ports/agent-memory/sqlite-agent-memory.js';
import { EmbeddedDatabase } from '../../src/ports/embedded/embedded-database.js';
import { ExtractiveLanguageModel } from '../../src/ports/language-model/extractive-language-model.js';
import { type LanguageModel } from '../../src/ports/language-model/language-model.port.js';
import { OpenAiLanguageModel } from '../../src/ports/language-model/openai-language-model.js';
import { CorpusPageReader } from '../../src/ports/page-reader/corpus-page-reader.js';
import { SqlitePresence } from '../../src/ports/presence/sqlite-presence.js';
import { NoTaskProtection } from '../../src/ports/task-protection/no-task-protection.js';
import { type TaskProtection } from '../../src/ports/task-protection/task-protection.port.js';
import { SqliteTaskStore } from '../../src/ports/task-store/sqlite-task-store.js';
import { type TaskStore } from '../../src/ports/task-store/task-store.port.js';
import { Corpus } from '../../src/ports/web-search/corpus.js';
import { CorpusWebSearch } from '../../src/ports/web-search/corpus-web-search.js';
import { SqliteWorkQueue } from '../../src/ports/work-queue/sqlite-work-queue.js';
import { temporaryDataDir } from './data-dir.js';
import { eventually } from './eventually.js';
import { ManualClock } from './manual-clock.js';

/** What a model under test is asked with. */
export const LIMITS = { contextTokens: 16_384, maxTokens: 4_096, temperature: null } as const;

/** The documents that agents under test can find and read. */
const DOCUMENTS = {
  'euglena.md':
    '# Euglena\n\nEuglena gracilis swims with a flagellum and turns towards light with its eyespot.',
  'paramecium.md': '# Paramecium\n\nParamecium swims with cilia and has two contractile vacuoles.',
};

/** A data folder that several hosts can have open, and a folder of documents beside it. */
export function agentFolder() {
  const dataDir = temporaryDataDir();
  const { path } = dataDir;
  const documents = join(path, 'documents');
  mkdirSync(documents);
  for (const [name, text] of Object.entries(DOCUMENTS)) writeFileSync(join(documents, name), text);
  return { path, documents, remove: () => dataDir.remove() };
}

export type AgentFolder = ReturnType<typeof agentFolder>;

/** What an agent process stands on: real embedded engines over a data folder, and a clock that the test turns. */
export class AgentHost {
  private readonly database: EmbeddedDatabase;
  private readonly workers: Worker[] = [];
  readonly store: SqliteTaskStore;
  readonly queue: SqliteWorkQueue;
  readonly presence: SqlitePresence;
  readonly memory: SqliteAgentMemory;
  readonly webSearch: CorpusWebSearch;
  readonly pageReader: CorpusPageReader;
  readonly model: LanguageModel;
  private open = true;

  /** `modelUrl` null: the extractive model. */
  constructor(
    folder: AgentFolder,
    modelUrl: string | null,
    readonly clock = new ManualClock(),
  ) {
    Logger.overrideLogger(false);
    this.database = EmbeddedDatabase.open(folder.path);
    this.store = new SqliteTaskStore(this.database, clock, 30_000);
    this.queue = new SqliteWorkQueue(this.database, clock);
    this.presence = new SqlitePresence(this.database, clock);
    this.memory = new SqliteAgentMemory(this.database);
    const corpus = new Corpus(folder.documents);
    this.webSearch = new CorpusWebSearch(corpus);
    this.pageReader = new CorpusPageReader(corpus);
    const endpoint = { apiUrl: modelUrl, apiKey: null, name: 'scripted', ...LIMITS };
    this.model =
      modelUrl === null ? new ExtractiveLanguageModel() : new OpenAiLanguageModel(endpoint, clock, () => 0);
  }

  /** A worker that has started. */
  async startWorker(
    instead: { store?: TaskStore; memory?: AgentMemory; protection?: TaskProtection } = {},
    environment: Environment = {},
  ): Promise<Worker> {
    const worker = new Worker(
      readSettings({ EUGLENA_ROLE: 'agent', ...environment }),
      this.clock,
      instead.store ?? this.store,
      this.queue,
      this.presence,
      instead.memory ?? this.memory,
      this.model,
      this.webSearch,
      this.pageReader,
      instead.protection ?? new NoTaskProtection(),
    );
    this.workers.push(worker);
    await worker.onApplicationBootstrap();
    return worker;
  }

  /** Stores a task as a gateway does; with `queued`, its message too. */
  async submit(
    correlationId: string,
    maxTicks = 10,
    queued = true,
    outputSchema: OutputSchema | null = null,
  ): Promise<TaskRecord> {
    const mandate = 'How does Euglena gracilis swim?';
    const input = { correlationId, owner: 'owner', mandate, maxTicks, outputSchema };
    const change = submission(input, this.clock.now(), false);
    await this.store.commit(change);
    if (queued) await this.enqueue(change.record);
    return change.record;
  }

  enqueue(record: TaskRecord): Promise<void> {
    return this.queue.publish(encodeEnvelope(envelopeOf(record)));
  }

  /** Turns the clock, in steps of `stepMs`, until `probe` answers something truthy. */
  until<T>(what: string, probe: () => Promise<T> | T, stepMs = 50): Promise<NonNullable<T>> {
    return eventually(what, () => {
      this.clock.advance(stepMs);
      return probe();
    });
  }

  /** The record once it is terminal and the queue has nothing left to hand out. */
  ended(correlationId: string, stepMs = 50): Promise<TaskRecord> {
    const probe = async () => {
      const record = await this.store.find(correlationId);
      const { ready, inFlight } = await this.queue.depth();
      return ready + inFlight === 0 && record !== null && isTerminal(record.status) ? record : null;
    };
    return this.until(`${correlationId} ends`, probe, stepMs);
  }

  journal(correlationId: string) {
    return this.store.journal(correlationId, 0, 1_000);
  }

  /** Drains a worker; a tick that hangs is waited for until the end of its grace. */
  async stop(worker: Worker): Promise<void> {
    let stopped = false;
    void worker.beforeApplicationShutdown().then(() => (stopped = true));
    await this.until('the worker stops', () => stopped, 1_000);
  }

  /** The process is gone in mid-work: it writes nothing more, and its time stands still. */
  async crash(): Promise<void> {
    this.open = false;
    await this.queue.close();
    await this.store.close();
    this.database.close();
    await this.model.close();
  }

  async close(): Promise<void> {
    if (!this.open) return;
    for (const worker of this.workers) await this.stop(worker);
    await this.crash();
  }
}
