import { EuglenaError } from '../../domain/errors.js';
import { AgentSlot, type AgentSlotOptions } from './agent-slot.js';
import { type Fleet, type FleetState } from './fleet.port.js';

export interface ChildProcessFleetOptions extends Omit<AgentSlotOptions, 'stopGraceMs'> {
  /** How long a drained agent may take, in ms, before it is killed. Default: 30,000. */
  readonly stopGraceMs?: number;
  /** Process ids of the workers that have work in hand. Without it, all count as idle. */
  readonly busyPids?: () => Promise<ReadonlySet<number>>;
}

const STOP_GRACE_MS = 30_000;
/** How often it is looked whether a worker that is too many has become idle, in ms. */
const LOOK_AGAIN_MS = 2_000;
/** So many early deaths in a row, with nothing running, are a fleet that does not work. */
const DEATHS_OF_A_BROKEN_FLEET = 3;

/**
 * Agents as child processes of this one, on this host. They end with it. Fewer are wanted: those without a process go
 * first, then idle ones, the youngest first. One that works is left alone until it is idle, which is looked at again every
 * 2 s. Each is asked with SIGTERM to hand back or finish what it may have taken since, and killed only after the grace.
 */
export class ChildProcessFleet implements Fleet {
  private readonly slots = new Set<AgentSlot>();
  private desired = 0;
  /** One change of size at a time. */
  private resizing: Promise<void> = Promise.resolve();
  private readonly closing = new AbortController();
  private thinning: Promise<void> | null = null;

  constructor(private readonly options: ChildProcessFleetOptions) {}

  async state(): Promise<FleetState> {
    const slots = [...this.slots];
    return {
      desired: this.desired,
      running: slots.filter((slot) => slot.pid !== null).length,
      pending: slots.filter((slot) => slot.pid === null && !slot.draining).length,
    };
  }

  async setDesired(count: number): Promise<void> {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new RangeError(`a fleet has a whole number of workers, not ${count}`);
    }
    await this.inTurn(() => this.resize(count));
  }

  async ping(): Promise<void> {
    if (this.closing.signal.aborted) throw new EuglenaError('engine_unavailable', 'The fleet is closed.');
    const active = this.active();
    const broken = active.every((slot) => slot.pid === null && slot.earlyDeaths >= DEATHS_OF_A_BROKEN_FLEET);
    if (active.length > 0 && broken) {
      throw new EuglenaError('engine_unavailable', 'Every agent ends soon after its start.');
    }
  }

  /** Drains every agent; resolves when all are gone. */
  async close(): Promise<void> {
    this.closing.abort();
    this.desired = 0;
    await Promise.all([...this.slots].map((slot) => slot.drain()));
    await this.thinning;
  }

  private inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.resizing.then(change);
    this.resizing = turn.catch(() => undefined);
    return turn;
  }

  private active(): AgentSlot[] {
    return [...this.slots].filter((slot) => !slot.draining);
  }

  private async resize(count: number): Promise<void> {
    const idle = this.active().length > count ? await this.leastNeededFirst() : [];
    if (this.closing.signal.aborted) throw new EuglenaError('engine_unavailable', 'The fleet is closed.');
    for (const slot of idle.slice(0, Math.max(0, this.active().length - count))) void slot.drain();
    while (this.active().length < count) this.add();
    this.desired = count;
    if (this.active().length > count) this.thinning ??= this.thin();
  }

  /** Ends those that are too many as they become idle. What cannot be seen now is looked at again. */
  private async thin(): Promise<void> {
    while (this.active().length > this.desired) {
      try {
        await this.options.clock.sleep(LOOK_AGAIN_MS, this.closing.signal);
      } catch {
        break; // Closed: all are drained anyway.
      }
      await this.inTurn(() => this.resize(this.desired)).catch(() => undefined);
    }
    this.thinning = null;
  }

  private add(): void {
    const slot = new AgentSlot({ ...this.options, stopGraceMs: this.options.stopGraceMs ?? STOP_GRACE_MS });
    this.slots.add(slot);
    void slot.ended.then(() => this.slots.delete(slot));
  }

  /** Those without a process, then those without work. */
  private async leastNeededFirst(): Promise<AgentSlot[]> {
    const busy = (await this.options.busyPids?.()) ?? new Set<number>();
    // Slots are in the order of their start, and the sort is stable: the youngest of equals comes first.
    return this.active()
      .filter((slot) => slot.pid === null || !busy.has(slot.pid))
      .reverse()
      .sort((a, b) => Number(a.pid !== null) - Number(b.pid !== null));
  }
}
