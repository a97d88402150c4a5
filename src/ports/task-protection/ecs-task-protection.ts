import { Logger } from '@nestjs/common';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { type Clock } from '../../domain/clock.js';
import { type TaskProtection } from './task-protection.port.js';

const MINUTE_MS = 60_000;
/** For one call, in ms. The ECS agent is on the same host; its default patience would stall a worker for minutes. */
const CALL_BUDGET_MS = 3_000;
const CONNECT_TIMEOUT_MS = 1_000;
const ANSWER_MAX_BYTES = 65_536;

const PROTECTED = z.object({ protection: z.object({ ProtectionEnabled: z.boolean() }) });
const REFUSED = z.union([
  z.object({ failure: z.object({ Reason: z.string() }) }).transform(({ failure }) => failure.Reason),
  z.object({ error: z.object({ Code: z.string() }) }).transform(({ error }) => error.Code),
]);

/**
 * Scale-in protection of the ECS task that this process runs in, asked of the ECS agent. Protection that lasts for another
 * half of the wanted time is not asked for again: heartbeats and a run of short tasks do not become a call each. Calls go
 * out one after the other, so that the last word said here is the last one heard there.
 */
export class EcsTaskProtection implements TaskProtection {
  private readonly logger = new Logger('TaskProtection');
  private readonly agent: Agent;
  private readonly url: string;
  private last: Promise<unknown> = Promise.resolve();
  /** Epoch ms; 0: not known to be protected. */
  private protectedUntil = 0;
  /** Whether the platform may hold this task protected. */
  private maybeProtected = false;
  private outage: string | null = null;

  constructor(
    agentUri: string,
    private readonly clock: Clock,
    private readonly budgetMs = CALL_BUDGET_MS,
  ) {
    this.url = `${agentUri.replace(/\/+$/, '')}/task-protection/v1/state`;
    this.agent = new Agent({
      connect: { timeout: CONNECT_TIMEOUT_MS },
      connections: 1,
      headersTimeout: budgetMs,
      bodyTimeout: budgetMs,
      maxResponseSize: ANSWER_MAX_BYTES,
    });
  }

  protect(minutes: number): Promise<boolean> {
    return this.inTurn(async () => {
      const now = this.clock.now();
      if (this.protectedUntil - now >= (minutes * MINUTE_MS) / 2) return true;
      this.maybeProtected = true; // Also if the answer is lost.
      const enabled = await this.put({ ProtectionEnabled: true, ExpiresInMinutes: minutes });
      if (enabled) this.protectedUntil = now + minutes * MINUTE_MS;
      // A renewal that failed takes nothing away from the protection before it.
      return enabled || this.protectedUntil > now;
    });
  }

  unprotect(): Promise<void> {
    return this.inTurn(async () => {
      if (!this.maybeProtected) return;
      this.protectedUntil = 0;
      // Protection that cannot be taken back ends by itself.
      if (await this.put({ ProtectionEnabled: false })) this.maybeProtected = false;
    });
  }

  async close(): Promise<void> {
    await this.last;
    await this.agent.close();
  }

  private inTurn<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.last.then(call);
    this.last = turn.catch(() => undefined);
    return turn;
  }

  /** Whether the state is as asked. Never rejects. */
  private async put(state: { ProtectionEnabled: boolean; ExpiresInMinutes?: number }): Promise<boolean> {
    try {
      const { statusCode, body } = await request(this.url, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(state),
        dispatcher: this.agent,
        signal: AbortSignal.timeout(this.budgetMs),
      });
      const answer: unknown = await body.json();
      const now = PROTECTED.safeParse(answer);
      if (statusCode === 200 && now.data?.protection.ProtectionEnabled === state.ProtectionEnabled) {
        this.note(null);
        return true;
      }
      this.note(REFUSED.safeParse(answer).data ?? `status ${statusCode}`);
    } catch (error) {
      this.note(error instanceof Error ? error.message : String(error));
    }
    return false;
  }

  /** One line when the trouble begins, and one when it is over. */
  private note(trouble: string | null): void {
    if (trouble === null && this.outage !== null) this.logger.log('the ECS agent sets protection again');
    if (trouble !== null && this.outage === null) {
      this.logger.warn(`the ECS agent did not set protection; no task is taken without: ${trouble}`);
    }
    this.outage = trouble;
  }
}
