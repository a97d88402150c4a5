import { type Action } from '../domain/action.js';
import { type Clock } from '../domain/clock.js';
import { type JournalEntry } from '../domain/journal.js';
import { type Observation, type Situation, type TickRecord } from '../domain/situation.js';
import { type ExitReason, type Source, type TaskResult } from '../domain/task.js';
import { type TickCost, type WorkerStep } from '../domain/worker-steps.js';
import { modelCalls, modelTokens, ticks } from '../observability/measures.js';
import { inSpan, SpanKind, type TraceContext } from '../observability/spans.js';
import { type AgentMemory } from '../ports/agent-memory/agent-memory.port.js';
import {
  type LanguageModel,
  type ModelReply,
  type ModelRequest,
} from '../ports/language-model/language-model.port.js';
import { type PageReader } from '../ports/page-reader/page-reader.port.js';
import { type WebSearch } from '../ports/web-search/web-search.port.js';
import { search } from './actions/search.js';
import { visit } from './actions/visit.js';
import { BUDGET_ENDED, bestKnown } from './answer.js';
import { citedAnswer } from './citations.js';
import { resultData } from './result-data.js';
import { Decider, type Decision } from './decider.js';
import { type EarlierTasks } from './earlier-tasks.js';
import { type JournalWriter } from './journal-writer.js';
import { observationData, replay } from './replay.js';
import { broughtBefore, isStuck } from './repetition.js';
import { RunAborted } from './run-aborted.js';
import { TaskMemory } from './task-memory.js';

/** What a run works with. */
export interface Engines {
  readonly model: LanguageModel;
  readonly webSearch: WebSearch;
  readonly pageReader: PageReader;
  readonly memory: AgentMemory;
  /** What the earlier tasks of a user read, if a task may recall it. */
  readonly earlier?: EarlierTasks;
  readonly clock: Clock;
}

const NOTED: Observation = { text: 'Noted.', failed: false };
/** Unreadable ticks in a row that end a task. */
const UNREADABLE_MAX = 3;

/**
 * The tick loop of one claimed task. Each tick: ask the model for one action, write the decision, carry it out, note what
 * it brought; until EXIT or the budget's end. The last tick ends the task whatever the model says.
 */
export class TaskRun {
  private readonly history: TickRecord[];
  private readonly sources: Source[];
  private readonly memory: TaskMemory;
  private readonly decider: Decider;
  private tickTrace: TraceContext;
  private unreadable = 0;
  private leaving = false;

  constructor(
    private readonly engines: Engines,
    private readonly writer: JournalWriter,
    journal: readonly JournalEntry[],
    private readonly signal: AbortSignal,
    /** The trace that the run belongs to. */
    private readonly trace: TraceContext,
  ) {
    this.tickTrace = trace;
    const past = replay(journal);
    this.history = past.history;
    this.sources = past.sources;
    this.memory = new TaskMemory(engines, writer.record, past.sources.length > 0);
    this.decider = new Decider(engines.model, (request) => this.ask(request), signal);
  }

  /** The run ends with {@link RunAborted} `drain` before its next tick. */
  leaveAfterTick(): void {
    this.leaving = true;
  }

  /** Resolves when the task is terminal and stored. Rejects with {@link RunAborted} when it is not for this run to end. */
  async run(): Promise<void> {
    await this.finishInterruptedTick();
    for (;;) {
      this.signal.throwIfAborted();
      if (this.leaving) throw new RunAborted('drain');
      if (await this.tracedTick()) return;
    }
  }

  /** A crash between decision and observation: the decision is in the journal, so only its action is done again. */
  private async finishInterruptedTick(): Promise<void> {
    const last = this.history.at(-1);
    if (last?.observation !== null || last === undefined) return;
    this.history.pop();
    const outcome = this.knownOutcome(last.action) ?? (await this.carryOut(last.action));
    this.writer.later(this.observe(last.action, outcome));
  }

  private tracedTick(): Promise<boolean> {
    return inSpan('tick', this.trace, { 'euglena.tick': this.history.length + 1 }, (tickTrace) => {
      this.tickTrace = tickTrace;
      return this.tick();
    });
  }

  /** One tick; true when the task has ended. */
  private async tick(): Promise<boolean> {
    const situation = await this.situation();
    const decision = await this.decider.decide(situation);
    if (decision.kind === 'failed') {
      await this.endWithout(decision, situation);
      return true;
    }
    if (decision.kind === 'action' && decision.action.name === 'EXIT') {
      await this.exit(decision.action, decision.cost, situation.mustExit ? 'max_ticks' : 'answered');
      return true;
    }
    if (situation.mustExit) {
      const { argument, data } = bestKnown(situation);
      const action: Action = { name: 'EXIT', argument, data, thought: BUDGET_ENDED };
      await this.exit(action, decision.cost, 'max_ticks');
      return true;
    }
    if (decision.kind === 'unreadable') return this.noteUnreadable(decision);
    this.unreadable = 0;
    await this.act(decision.action, decision.cost);
    return false;
  }

  /** The decision is durable before anything is done. What needs no doing is one write with what it brings. */
  private async act(action: Action, spent: TickCost): Promise<void> {
    const decided: WorkerStep = { kind: 'tick', at: this.engines.clock.now(), action, spent };
    const known = this.knownOutcome(action);
    await this.writer.now(decided, ...(known === null ? [] : [this.observe(action, known)]));
    measureTick(action.name, spent);
    if (known === null) this.writer.later(this.observe(action, await this.carryOut(action)));
  }

  private async situation(): Promise<Situation> {
    const { mandate, maxTicks, outputSchema } = this.writer.record;
    const tick = this.history.length + 1;
    const note = this.history.at(-1)?.action.thought ?? '';
    return {
      mandate,
      outputSchema,
      tick,
      maxTicks,
      mustExit: tick >= maxTicks || isStuck(this.history),
      history: this.history,
      sources: this.sources,
      recalled: await this.memory.recall(this.need(note)),
    };
  }

  /** The model gives no action: the task ends with what is known if it was to end anyway, else with the reason. */
  private async endWithout(
    { error, cost }: Extract<Decision, { kind: 'failed' }>,
    situation: Situation,
  ): Promise<void> {
    measureModel(cost);
    if (situation.mustExit && this.history.length > 0) {
      await this.writer.complete(this.resultOf(bestKnown(situation), 'max_ticks'), undefined, cost);
    } else {
      await this.writer.fail(error, cost);
    }
  }

  /** What is looked for now, in words: the mandate, and the model's newest thought. */
  private need(thought: string): string {
    return `${this.writer.record.mandate.slice(0, 2_000)}\n${thought.slice(0, 500)}`;
  }

  private ask(request: ModelRequest): Promise<ModelReply> {
    const { model } = this.engines;
    const attributes = { 'gen_ai.request.model': model.name };
    return inSpan('model', this.tickTrace, attributes, () => model.decide(request), SpanKind.CLIENT);
  }

  private async noteUnreadable(decision: Extract<Decision, { kind: 'unreadable' }>): Promise<boolean> {
    const { clock } = this.engines;
    const action: Action = { name: 'THINK', argument: '(the reply could not be read)', thought: '' };
    const seen = { text: `The reply could not be read: ${decision.reason}`, failed: true };
    await this.writer.now(
      { kind: 'tick', at: clock.now(), action, spent: decision.cost },
      this.observe(action, seen),
    );
    measureTick('unreadable', decision.cost);
    this.unreadable += 1;
    if (this.unreadable < UNREADABLE_MAX) return false;
    const message = `The model gave no usable action ${UNREADABLE_MAX} ticks in a row: ${decision.reason}.`;
    await this.writer.fail({ code: 'model_unparseable', message });
    return true;
  }

  /** What an action brings without being carried out; null when it must be. */
  private knownOutcome(action: Action): Observation | null {
    const isDone = action.name === 'SEARCH' || action.name === 'VISIT';
    return isDone ? broughtBefore(this.history, action) : NOTED;
  }

  private carryOut(action: Action): Promise<Observation> {
    return inSpan(action.name.toLowerCase(), this.tickTrace, {}, () => this.perform(action));
  }

  private async perform(action: Action): Promise<Observation> {
    const { webSearch, pageReader, clock } = this.engines;
    if (action.name === 'SEARCH') return search(webSearch, action.argument, this.signal);
    const reading = { url: action.argument, need: this.need(action.thought), sources: this.sources };
    const seen = await visit(pageReader, reading, () => clock.now(), this.signal);
    // Before the observation, which says whether there was a memory; the next recall would wait for it anyway.
    await this.memory.remember(seen.passages);
    return seen.observation;
  }

  /** Takes note of what an action brought; the step is to be written. */
  private observe(action: Action, observation: Observation): WorkerStep {
    const { source } = observation;
    if (source && !this.sources.some(({ id }) => id === source.id)) this.sources.push(source);
    this.history.push({ tick: this.history.length + 1, action, observation });
    const data = observationData(observation);
    if (this.memory.unavailable) data.memory = 'unavailable';
    return { kind: 'observation', at: this.engines.clock.now(), data };
  }

  private async exit(action: Action, spent: TickCost, exitReason: ExitReason): Promise<void> {
    const result = this.resultOf(action, exitReason);
    await this.writer.complete(result, { kind: 'tick', at: this.engines.clock.now(), action, spent });
    measureTick(action.name, spent);
  }

  private resultOf(
    { argument, data }: Pick<Action, 'argument' | 'data'>,
    exitReason: ExitReason,
  ): Omit<TaskResult, 'receipt'> {
    const { outputSchema } = this.writer.record;
    const cited = citedAnswer(argument, this.sources);
    return { ...cited, ...resultData(outputSchema, data), exitReason, model: this.engines.model.name };
  }
}

function measureTick(action: string, spent: TickCost): void {
  ticks.inc({ action });
  measureModel(spent);
}

function measureModel({ modelCalls: calls, promptTokens, completionTokens }: TickCost): void {
  modelCalls.inc(calls);
  modelTokens.inc({ kind: 'prompt' }, promptTokens);
  modelTokens.inc({ kind: 'completion' }, completionTokens);
}
