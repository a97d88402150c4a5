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
/** So many early deaths in a row, with nothing running, are a fleet that does not work. */
const DEATHS_OF_A_BROKEN_FLEET = 3;

/**
 * Agents as child processes of this one, on this host. They end with it. Fewer are wanted: those without a process go
 * first, then idle ones, then busy ones, the youngest first. Each is asked with SIGTERM to hand back or finish its work,
 * and killed only after the grace.
 */
export class ChildProcessFleet implements Fleet {
  private readonly slots = new Set<AgentSlot>();
  private desired = 0;
  /** One change of size at a time. */
  private resizing: Promise<void> = Promise.resolve();
  private closed = false;

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
    const resize = this.resizing.then(() => this.resize(count));
    this.resizing = resize.catch(() => undefined);
    await resize;
  }

  async ping(): Promise<void> {
    if (this.closed) throw new EuglenaError('engine_unavailable', 'The fleet is closed.');
    const active = this.active();
    const broken = active.every((slot) => slot.pid === null && slot.earlyDeaths >= DEATHS_OF_A_BROKEN_FLEET);
    if (active.length > 0 && broken) {
      throw new EuglenaError('engine_unavailable', 'Every agent ends soon after its start.');
    }
  }

  /** Drains every agent; resolves when all are gone. */
  async close(): Promise<void> {
    this.closed = true;
    this.desired = 0;
    await Promise.all([...this.slots].map((slot) => slot.drain()));
  }

  private active(): AgentSlot[] {
    return [...this.slots].filter((slot) => !slot.draining);
  }

  private async resize(count: number): Promise<void> {
    const surplus = this.active().length - count;
    const order = surplus > 0 ? await this.leastNeededFirst() : [];
    if (this.closed) throw new EuglenaError('engine_unavailable', 'The fleet is closed.');
    for (const slot of order.slice(0, Math.max(0, surplus))) void slot.drain();
    while (this.active().length < count) this.add();
    this.desired = count;
  }

  private add(): void {
    const slot = new AgentSlot({ ...this.options, stopGraceMs: this.options.stopGraceMs ?? STOP_GRACE_MS });
    this.slots.add(slot);
    void slot.ended.then(() => this.slots.delete(slot));
  }

  private async leastNeededFirst(): Promise<AgentSlot[]> {
    const busy = (await this.options.busyPids?.()) ?? new Set<number>();
    const need = (slot: AgentSlot) => (slot.pid === null ? 0 : busy.has(slot.pid) ? 2 : 1);
    // Slots are in the order of their start, and the sort is stable: the youngest of equals comes first.
    return this.active()
      .reverse()
      .sort((a, b) => need(a) - need(b));
  }
}
