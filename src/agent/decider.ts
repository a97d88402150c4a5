import { type Action } from '../domain/action.js';
import { type ErrorCode } from '../domain/errors.js';
import { parseAction } from '../domain/parse-action.js';
import { type ChatMessage, type Situation } from '../domain/situation.js';
import { type TaskFailure } from '../domain/task.js';
import { addCost, NO_COST, type TickCost } from '../domain/worker-steps.js';
import {
  type LanguageModel,
  ModelFailure,
  type ModelReply,
  type ModelRequest,
} from '../ports/language-model/language-model.port.js';
import { unknownCitations } from './citations.js';
import { tokensOf } from './history-window.js';
import { resultData } from './result-data.js';
import { renderCorrection, renderPrompt } from './prompt.js';

/** How often a request is made shorter before it counts as one that cannot be made to fit. */
const COMPACTIONS_MAX = 5;
const NAMED_IDS_MAX = 20;

interface Failed {
  readonly kind: 'failed';
  readonly error: TaskFailure;
  readonly cost: TickCost;
}

/** What came of asking the model in one tick. `cost` is what all its requests took. */
export type Decision =
  | { readonly kind: 'action'; readonly action: Action; readonly cost: TickCost }
  | { readonly kind: 'unreadable'; readonly reason: string; readonly cost: TickCost }
  /** There is no action: the model is gone, declines, or cannot hold the request. */
  | Failed;

/** What one reply is worth. `flawed`: it can be acted on, but the model is given the chance to say it better. */
type Verdict =
  | { readonly kind: 'good'; readonly action: Action }
  | { readonly kind: 'flawed'; readonly action: Action; readonly reason: string }
  | { readonly kind: 'unreadable'; readonly reason: string };

/**
 * Asks the model for one action; once more in the same tick when the reply is unreadable or flawed, and with a shorter
 * request when this one is too long for the model or is declined.
 */
export class Decider {
  /** What a request may hold, in tokens; smaller once the endpoint said that less fits. */
  private roomTokens: number;

  constructor(
    private readonly model: LanguageModel,
    /** Sends one request to the model. */
    private readonly send: (request: ModelRequest) => Promise<ModelReply>,
    private readonly signal: AbortSignal,
  ) {
    this.roomTokens = model.roomTokens;
  }

  /** Rejects with the signal's reason when it aborts. */
  async decide(situation: Situation): Promise<Decision> {
    const first = await this.reply(situation, [], NO_COST);
    if (first.kind === 'failed') return first;
    const verdict = judge(first.reply, situation);
    if (verdict.kind === 'good') return { kind: 'action', action: verdict.action, cost: first.cost };
    const correction = renderCorrection(first.reply.text, verdict.reason, situation);
    const second = await this.reply(situation, correction, first.cost);
    const { cost } = second;
    if (second.kind === 'failed')
      return verdict.kind === 'flawed' ? { ...verdict, kind: 'action', cost } : second;
    const again = judge(second.reply, situation);
    const best = again.kind === 'unreadable' || missesExit(again, situation) ? better(verdict, again) : again;
    if (best.kind === 'unreadable') return { kind: 'unreadable', reason: best.reason, cost };
    return { kind: 'action', action: best.action, cost };
  }

  /** One reply to what is known, followed by `correction`. */
  private async reply(
    situation: Situation,
    correction: readonly ChatMessage[],
    before: TickCost,
  ): Promise<{ kind: 'reply'; reply: ModelReply; cost: TickCost } | Failed> {
    const { model, signal } = this;
    const count = (text: string) => model.countTokens(text);
    let cost = before;
    let messages = renderPrompt(situation, { tokens: this.roomTokens, count });
    for (let compactions = 0; ; compactions += 1) {
      let reply: ModelReply;
      try {
        reply = await this.send({ situation, messages: [...messages, ...correction], signal });
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ModelFailure)) throw error;
        const spent = addCost(cost, { ...NO_COST, modelCalls: error.calls });
        return { kind: 'failed', error: { code: error.code, message: error.message }, cost: spent };
      }
      signal.throwIfAborted();
      const { calls, promptTokens, completionTokens, outcome } = reply;
      cost = addCost(cost, { modelCalls: calls, promptTokens, completionTokens });
      if (outcome === 'said' || outcome === 'cut') return { kind: 'reply', reply, cost };
      const size = tokensOf(messages, { tokens: 0, count });
      // What is declined may be a page that was read: then the model goes on without seeing pages.
      const tokens = outcome === 'refused' ? 0 : Math.floor(Math.min(this.roomTokens, size) / 2);
      const shorter = renderPrompt(situation, { tokens, count });
      const isShorter = tokensOf(shorter, { tokens: 0, count }) < size;
      if (!isShorter || compactions >= COMPACTIONS_MAX)
        return { kind: 'failed', error: failureOf(outcome), cost };
      if (outcome === 'too_long') this.roomTokens = tokens;
      messages = shorter;
    }
  }
}

function judge(reply: ModelReply, situation: Situation): Verdict {
  if (reply.outcome === 'cut')
    return { kind: 'unreadable', reason: 'it was cut off because it was too long' };
  const parsed = parseAction(reply.text);
  if (parsed.kind === 'unparseable') return { kind: 'unreadable', reason: parsed.reason };
  const { action } = parsed;
  const reason = action.name === 'EXIT' ? flawOf(action, situation) : null;
  return reason === null ? { kind: 'good', action } : { kind: 'flawed', action, reason };
}

/** What is wrong with an answer, for the model; null when nothing is. */
function flawOf({ argument, data }: Action, { sources, outputSchema }: Situation): string | null {
  const { dataError } = resultData(outputSchema, data);
  if (dataError !== null) return `"data" must follow the JSON Schema, but ${dataError}`;
  const unknown = unknownCitations(argument, sources);
  if (unknown.length === 0) return null;
  const ids = sources.slice(-NAMED_IDS_MAX).map(({ id }) => id);
  const known =
    ids.length === 0 ? 'no document was read' : `the documents that were read are ${ids.join(', ')}`;
  return `it cites ${unknown.slice(0, NAMED_IDS_MAX).join(', ')}, but ${known}`;
}

function missesExit(verdict: Exclude<Verdict, { kind: 'unreadable' }>, { mustExit }: Situation): boolean {
  return mustExit && verdict.action.name !== 'EXIT';
}

/** The first verdict if it can be acted on, else the second. */
function better(first: Verdict, second: Verdict): Verdict {
  return first.kind === 'unreadable' ? second : first;
}

function failureOf(outcome: 'refused' | 'too_long'): TaskFailure {
  const failures: Record<typeof outcome, { code: ErrorCode; message: string }> = {
    refused: { code: 'model_refused', message: 'The language model declines to work on this mandate.' },
    too_long: {
      code: 'model_context_exceeded',
      message: 'The mandate is too long for the context of the language model.',
    },
  };
  return failures[outcome];
}
