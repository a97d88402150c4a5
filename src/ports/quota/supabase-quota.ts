import { createClient } from '@supabase/supabase-js';
import { Agent, WebSocket } from 'undici';
import { z } from 'zod';
import { type Clock } from '../../domain/clock.js';
import { EuglenaError } from '../../domain/errors.js';
import { type QuotaUsage } from '../../domain/quota.js';
import { undiciFetch } from '../http/undici-fetch.js';
import { type OpenReservation, type Quota, type Reservation } from './quota.port.js';

export interface SupabaseProject {
  readonly url: string;
  /** A key of the service role: no other may call the functions of the ledger. */
  readonly apiKey: string;
}

/** For one call, connecting included, in ms. */
const CALL_BUDGET_MS = 3_000;
/** Connections to the project; calls beyond that wait for one, within their budget. */
const CONNECTIONS_MAX = 64;
/** The longest answer, a thousand unsettled reservations, has an eighth of that. */
const RESPONSE_MAX_BYTES = 1_048_576;
/** A user that nobody is, to ask for when it is about the answer alone. */
const NOBODY = '00000000-0000-0000-0000-000000000000';

const USED = z.object({
  used: z.int().nonnegative(),
  resets_at: z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)),
});
const RESERVED = z.discriminatedUnion('granted', [
  USED.extend({ granted: z.literal(true), reserved: z.int().nonnegative() }),
  USED.extend({ granted: z.literal(false) }),
]);
const UNSETTLED = z.array(
  z.object({ task_id: z.string(), user_id: z.uuid(), reserved: z.int().nonnegative() }),
);

interface SettlementBatch {
  readonly taskIds: string[];
  readonly usedTicks: number[];
  readonly told: Promise<void>;
}

/**
 * The ledger of `supabase/migrations/` in a Supabase project's Postgres, through the project's API. Each method is one call
 * of one function, atomic there, by the clock there. A call whose answer is lost may have been carried out all the same:
 * such a reservation is found by {@link unsettled} and given back.
 */
export class SupabaseQuota implements Quota {
  private readonly agent = new Agent({ connections: CONNECTIONS_MAX });
  private readonly calls = new Set<AbortController>();
  private readonly client;
  private batch: SettlementBatch | null = null;

  constructor(
    { url, apiKey }: SupabaseProject,
    private readonly clock: Clock,
    private readonly dailyLimit: number,
  ) {
    this.client = createClient(url, apiKey, {
      // Without its client for user sessions: this key is no user's.
      accessToken: async () => apiKey,
      // Never opened, but the client is not made without one, and Node 20 has none. The types differ in MessagePort alone.
      realtime: { transport: WebSocket as never },
      global: { fetch: this.fetch },
    });
  }

  async reserve(owner: string, correlationId: string, ticks: number): Promise<Reservation> {
    const given = { task_id: correlationId, user_id: owner, ticks, daily_limit: this.dailyLimit };
    const answer = await this.call('reserve_ticks', given, RESERVED);
    const usage = this.usageOf(answer);
    return answer.granted ? { kind: 'reserved', ticks: answer.reserved, usage } : { kind: 'exceeded', usage };
  }

  /** Settlements of one turn of the event loop are told in one call. */
  async settle(correlationId: string, usedTicks: number): Promise<void> {
    this.batch ??= this.openBatch();
    this.batch.taskIds.push(correlationId);
    this.batch.usedTicks.push(usedTicks);
    await this.batch.told;
  }

  async usage(owner: string): Promise<QuotaUsage> {
    return this.usageOf(await this.call('tick_usage', { user_id: owner }, USED));
  }

  async unsettled(olderThanMs: number, limit: number): Promise<readonly OpenReservation[]> {
    const given = { older_than_ms: olderThanMs, max_rows: limit };
    const rows = await this.call('unsettled_ticks', given, UNSETTLED);
    return rows.map(({ task_id, user_id, reserved }) => ({
      correlationId: task_id,
      owner: user_id,
      ticks: reserved,
    }));
  }

  async ping(): Promise<void> {
    await this.usage(NOBODY);
  }

  async close(): Promise<void> {
    this.calls.forEach((call) => call.abort());
    await this.agent.destroy();
  }

  /** What fails here is told by its code alone: that is all of it that gets through the client and belongs in a log. */
  private readonly fetch = (input: string | URL | Request, init?: RequestInit): Promise<Response> =>
    undiciFetch(this.agent, RESPONSE_MAX_BYTES)(input, init).catch((error: Error & { code?: string }) => {
      throw new Error(error.code ?? error.name);
    });

  private openBatch(): SettlementBatch {
    const taskIds: string[] = [];
    const usedTicks: number[] = [];
    const told = Promise.resolve().then(async () => {
      this.batch = null;
      await this.call('settle_ticks', { task_ids: taskIds, used_ticks: usedTicks }, z.null());
    });
    return { taskIds, usedTicks, told };
  }

  private usageOf({ used, resets_at }: z.infer<typeof USED>): QuotaUsage {
    const limit = this.dailyLimit;
    return { limit, used, remaining: Math.max(0, limit - used), resetsAt: resets_at };
  }

  /** Calls a function within the budget, once: whether a failed call was carried out is not known here. */
  private async call<T>(name: string, given: Record<string, unknown>, answer: z.ZodType<T>): Promise<T> {
    const call = new AbortController();
    this.calls.add(call);
    void this.clock.sleep(CALL_BUDGET_MS, call.signal).then(
      () => call.abort(),
      () => undefined,
    );
    try {
      const told = await this.client.rpc(name, given).abortSignal(call.signal);
      if (call.signal.aborted) throw unavailable(`gave no answer within ${CALL_BUDGET_MS / 1_000} s`);
      if (told.error !== null) throw unavailable(explanation(name, told.status, told.error));
      const reading = answer.safeParse(told.data);
      if (reading.success) return reading.data;
      throw unavailable(otherwise(name));
    } finally {
      this.calls.delete(call);
      call.abort(); // Ends the timer.
    }
  }
}

/** What is wrong, for whoever reads the log: by status and code, never in the project's own words. */
function explanation(name: string, status: number, { code, message }: { code: string; message: string }) {
  if (status === 0) {
    return `cannot be reached (${/\w+$/.exec(message)?.[0] ?? 'unknown reason'})`;
  }
  if (status < 300) return otherwise(name);
  if (status === 401 || status === 403) {
    return `answered ${status} to ${name}: SUPABASE_API_KEY must be a key of this project's service role`;
  }
  if (status === 404) {
    return `answered 404 to ${name}: apply supabase/migrations to the project that SUPABASE_URL names`;
  }
  return `answered ${status} to ${name}${/^[0-9A-Z]{5,8}$/.test(code) ? ` (${code})` : ''}`;
}

function otherwise(name: string): string {
  return `answers ${name} otherwise than this version expects: apply all of supabase/migrations`;
}

function unavailable(what: string): EuglenaError {
  return new EuglenaError('engine_unavailable', `Supabase ${what}.`);
}
