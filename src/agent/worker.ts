import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { CLOCK, SETTINGS } from '../config/settings.module.js';
import { type Settings } from '../config/settings.js';
import { type Clock } from '../domain/clock.js';
import { type WorkerState } from '../domain/presence.js';
import { AGENT_MEMORY, type AgentMemory } from '../ports/agent-memory/agent-memory.port.js';
import { LANGUAGE_MODEL, type LanguageModel } from '../ports/language-model/language-model.port.js';
import { PAGE_READER, type PageReader } from '../ports/page-reader/page-reader.port.js';
import { PRESENCE, type Presence } from '../ports/presence/presence.port.js';
import { TASK_PROTECTION, type TaskProtection } from '../ports/task-protection/task-protection.port.js';
import { TASK_STORE, type TaskStore } from '../ports/task-store/task-store.port.js';
import { WEB_SEARCH, type WebSearch } from '../ports/web-search/web-search.port.js';
import {
  type Consumer,
  type Delivery,
  WORK_QUEUE,
  type WorkQueue,
} from '../ports/work-queue/work-queue.port.js';
import { DeliveryHandler } from './delivery-handler.js';
import { EarlierTasks } from './earlier-tasks.js';
import { RunningTasks } from './running-tasks.js';
import { StoreOutage } from './store-outage.js';

/** How long running tasks may finish their tick when the worker stops, in ms. */
const DRAIN_GRACE_MS = 20_000;
/** How long the protection of a working task lasts, in minutes; renewed with the heartbeat. */
const PROTECTION_MINUTES = 10;
const UNPROTECTED_WAIT_MS = 5_000;
/** How long a message stays in hand while the task store is away, in ms. Then another worker may have better luck. */
const HOLD_MS = 30_000;
const HANDED_BACK_WAIT_MS = 1_000;
/** How often a worker that has not begun asks whether its engines serve, in ms. */
const ASK_EVERY_MS = 1_000;

/**
 * Takes mandates from the queue and works on them, `AGENT_CONCURRENCY` at a time. Every `AGENT_STATUS_TIME` seconds it says
 * that it lives and renews its leases. While the task store is away it takes nothing more, and no message counts that as
 * a failure. When the process stops it takes nothing more, lets running ticks end, and hands the rest back with its journal.
 */
@Injectable()
export class Worker implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly id = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`;
  private readonly logger = new Logger('Worker');
  private readonly leaving = new AbortController();
  private readonly stopped = new AbortController();
  private readonly startedAt: number;
  private readonly running: RunningTasks;
  private readonly handler: DeliveryHandler;
  private readonly outage: StoreOutage;
  private consuming: Promise<Consumer> | undefined;
  private draining: Promise<void> | undefined;
  /** Messages that are being handled, those on the way to becoming a running task included. */
  private inHand = 0;
  private told: WorkerState | undefined;
  private known = false;

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(TASK_STORE) private readonly store: TaskStore,
    @Inject(WORK_QUEUE) private readonly queue: WorkQueue,
    @Inject(PRESENCE) private readonly presence: Presence,
    @Inject(AGENT_MEMORY) memory: AgentMemory,
    @Inject(LANGUAGE_MODEL) model: LanguageModel,
    @Inject(WEB_SEARCH) webSearch: WebSearch,
    @Inject(PAGE_READER) pageReader: PageReader,
    @Inject(TASK_PROTECTION) private readonly protection: TaskProtection,
  ) {
    this.startedAt = clock.now();
    this.running = new RunningTasks(store, clock, () => this.tellChange());
    const earlier = settings.agent.recallEarlierTasks ? { earlier: new EarlierTasks(memory, store) } : {};
    const engines = { model, webSearch, pageReader, memory, ...earlier, clock };
    this.handler = new DeliveryHandler(this.id, store, engines, settings, this.running);
    this.outage = new StoreOutage(store, clock, this.leaving.signal);
  }

  async onApplicationBootstrap(): Promise<void> {
    const [canBegin] = await Promise.all([this.enginesServe(), this.tell()]);
    void this.beat();
    if (canBegin) await this.begin();
    else void this.beginLater();
  }

  /** Idempotent: a second signal waits for the same drain. */
  beforeApplicationShutdown(): Promise<void> {
    this.draining ??= this.drain();
    return this.draining;
  }

  get state(): WorkerState {
    if (this.draining !== undefined) return 'draining';
    return this.running.size > 0 ? 'working' : 'free';
  }

  /** A consumer that came before the engines would have to be ended in the middle of its coming. */
  private async beginLater(): Promise<void> {
    do {
      await this.clock.sleep(ASK_EVERY_MS, this.leaving.signal).catch(() => undefined);
      if (this.draining !== undefined) return;
    } while (!(await this.enginesServe()));
    await this.begin();
  }

  private async enginesServe(): Promise<boolean> {
    const answers = await Promise.allSettled([this.store.ping(), this.queue.ping()]);
    return answers.every(({ status }) => status === 'fulfilled');
  }

  private async begin(): Promise<void> {
    if (this.draining !== undefined) return;
    this.consuming = this.queue.consume((delivery) => this.handle(delivery), this.settings.agent.concurrency);
    await this.consuming;
  }

  private async handle(delivery: Delivery): Promise<void> {
    if (this.draining !== undefined) return delivery.defer(0);
    this.inHand += 1;
    try {
      // Protect first, then work: what is not protected may be ended by the platform in mid-work.
      if (!(await this.protection.protect(PROTECTION_MINUTES))) {
        return await delivery.defer(UNPROTECTED_WAIT_MS);
      }
      await this.handleOrHold(delivery);
    } finally {
      this.inHand -= 1;
      if (this.inHand === 0) await this.protection.unprotect();
    }
  }

  /** Waits out an outage of the task store with the message in hand, so that it is not handed out and failed for nothing. */
  private async handleOrHold(delivery: Delivery): Promise<void> {
    try {
      await this.handler.handle(delivery);
    } catch (error) {
      if (!(await this.outage.explains(error))) throw error;
      if (await this.outage.isOverWithin(HOLD_MS)) return this.handleOrHold(delivery);
      await delivery.defer(this.draining === undefined ? HANDED_BACK_WAIT_MS : 0);
    }
  }

  private async drain(): Promise<void> {
    const grace = new AbortController();
    this.leaving.abort();
    const taken = this.consuming?.then((consumer) => consumer.stop());
    void this.tell();
    this.running.leaveAfterTick();
    void this.clock.sleep(DRAIN_GRACE_MS, grace.signal).then(
      () => this.running.abortAll('drain'),
      () => undefined,
    );
    await taken;
    while (this.inHand > 0) await this.clock.sleep(20);
    grace.abort();
    this.stopped.abort();
    if (this.known) await this.presence.leave(this.id).catch(() => undefined);
  }

  private async beat(): Promise<void> {
    const { statusIntervalMs } = this.settings.agent;
    for (;;) {
      try {
        await this.clock.sleep(statusIntervalMs, this.stopped.signal);
      } catch {
        return;
      }
      await Promise.all([this.tell(), this.renew(), this.renewProtection()]);
    }
  }

  private async renew(): Promise<void> {
    const leases = this.running.leases();
    if (leases.length === 0) return;
    try {
      const lost = await this.store.renew(leases);
      for (const { correlationId } of lost) this.running.abortOne(correlationId, 'lease_lost');
    } catch (error) {
      this.logger.warn(`leases were not renewed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private async renewProtection(): Promise<void> {
    if (this.running.size > 0) await this.protection.protect(PROTECTION_MINUTES);
  }

  private tellChange(): void {
    if (this.told !== this.state) void this.tell();
  }

  private async tell(): Promise<void> {
    const { state } = this;
    this.told = state;
    const worker = {
      workerId: this.id,
      state,
      running: this.running.size,
      capacity: this.settings.agent.concurrency,
      pid: process.pid,
      startedAt: this.startedAt,
    };
    try {
      await this.presence.beat(worker, this.settings.agent.leaseMs);
      this.known = true;
    } catch (error) {
      this.logger.warn(`presence was not renewed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
