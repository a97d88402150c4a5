import { Logger } from '@nestjs/common';
import { type Clock } from '../../domain/clock.js';
import { EuglenaError } from '../../domain/errors.js';
import { type Passage } from '../../domain/situation.js';
import { type AgentMemory, type RecalledPassage } from './agent-memory.port.js';

/** Failures in a row after which the memory is left alone. */
const FAILURES_MAX = 5;
/** How long it is left alone before one call tries it again, in ms. */
const REST_MS = 30_000;

/**
 * A memory that is left alone for a while when it fails again and again: the tasks of a process do not wait, each for
 * itself, for an engine that is away. What would have been remembered meanwhile is dropped, and counted.
 */
export class RestingAgentMemory implements AgentMemory {
  private readonly logger = new Logger('AgentMemory');
  private readonly closing = new AbortController();
  private state: 'in use' | 'resting' | 'rested' = 'in use';
  private failures = 0;
  private dropped = 0;

  constructor(
    readonly engine: AgentMemory,
    private readonly clock: Clock,
  ) {}

  async remember(correlationId: string, passages: readonly Passage[]): Promise<void> {
    if (this.state === 'resting') this.dropped += passages.length;
    await this.use(() => this.engine.remember(correlationId, passages));
  }

  async recall(correlationId: string, need: string, limit: number): Promise<readonly Passage[]> {
    return this.use(() => this.engine.recall(correlationId, need, limit));
  }

  async recallAmong(
    correlationIds: readonly string[],
    need: string,
    limit: number,
  ): Promise<readonly RecalledPassage[]> {
    return this.use(() => this.engine.recallAmong(correlationIds, need, limit));
  }

  forget(correlationIds: readonly string[]): Promise<void> {
    return this.engine.forget(correlationIds);
  }

  ping(): Promise<void> {
    return this.engine.ping();
  }

  close(): Promise<void> {
    this.closing.abort();
    return this.engine.close();
  }

  private async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.state === 'resting') {
      throw new EuglenaError('engine_unavailable', 'The agent memory failed repeatedly and is left alone.');
    }
    const isTrial = this.state === 'rested';
    // One trial at a time: whoever comes during it is refused.
    if (isTrial) this.state = 'resting';
    try {
      const answer = await work();
      this.succeeded(isTrial);
      return answer;
    } catch (error) {
      this.failed(isTrial);
      throw error;
    }
  }

  private succeeded(wasTrial: boolean): void {
    // A call from before the rest tells nothing of now.
    if (this.state !== 'in use' && !wasTrial) return;
    this.failures = 0;
    if (!wasTrial) return;
    this.state = 'in use';
    this.logger.log(`The agent memory answers again; ${this.dropped} passages were dropped meanwhile.`);
    this.dropped = 0;
  }

  private failed(wasTrial: boolean): void {
    if (this.state !== 'in use' && !wasTrial) return;
    this.failures += 1;
    if (this.failures < FAILURES_MAX) return;
    this.state = 'resting';
    if (!wasTrial) {
      this.logger.warn(
        `The agent memory failed ${FAILURES_MAX} times in a row and is left alone for ${REST_MS / 1_000} s.`,
      );
    }
    void this.clock.sleep(REST_MS, this.closing.signal).then(
      () => (this.state = 'rested'),
      () => undefined,
    );
  }
}
