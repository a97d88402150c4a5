import { setTimeout as delay } from 'node:timers/promises';

const { console, AbortController } = globalThis;
const PAUSE_MS = [1_000, 5_000];
/** Faults that may last at once: with more, a slow machine would only ever start things. */
const AT_ONCE = 3;

/**
 * Random faults, one begun every 1 to 5 s; a few may last at once, one at most for each target. A process's fault lasts
 * until it is ready again. `faults` count what was done, by name. `only`: words of which a fault's name must have one.
 */
export class Chaos {
  faults = new Map();
  /** When which agent was stopped for longer than its lease: `{ agent, from, to }`, epoch ms. */
  freezes = [];
  #busy = new Set();
  #lasting = new Set();
  #stopped = new AbortController();
  #running;

  constructor({ random, agents, gateways, engines, leaseMs, only }) {
    this.random = random;
    this.leaseMs = leaseMs;
    this.kinds = [
      ['kill -9 an agent', agents, 4, (agent) => this.#endRole(agent, 'SIGKILL')],
      ['SIGTERM an agent', agents, 1, (agent) => this.#endRole(agent, 'SIGTERM')],
      ['stop an agent beyond its lease', agents, 2, (agent) => this.#freeze(agent)],
      ['kill -9 a gateway', gateways, 3, (gateway) => this.#endRole(gateway, 'SIGKILL')],
      ['SIGTERM a gateway', gateways, 1, (gateway) => this.#endRole(gateway, 'SIGTERM')],
      ['kill -9 Redis', engines.redis, 2, (redis) => this.#restart(redis, 'SIGKILL', [0, 4_000])],
      ['silence Redis', engines.redis, 1, (redis) => this.#silence(redis)],
      ['SIGTERM RabbitMQ', engines.rabbitmq, 1, (rabbit) => this.#restart(rabbit, 'SIGTERM', [0, 2_000])],
      ['kill -9 RabbitMQ', engines.rabbitmq, 1, (rabbit) => this.#restart(rabbit, 'SIGKILL', [0, 2_000])],
      ['kill -9 ChromaDB', engines.chroma, 1, (chroma) => this.#restart(chroma, 'SIGKILL', [1_000, 10_000])],
    ].flatMap(([name, targets = [], weight, act]) => {
      if (!only.some((word) => name.includes(word))) return [];
      return Array(weight).fill({ name, targets: [targets].flat(), act });
    });
    if (this.kinds.length === 0) throw new Error(`--faults: no fault has a name with ${only.join(' or ')}`);
  }

  start() {
    this.#running = this.#loop();
  }

  /** Begins nothing more; resolves when every fault is over. */
  async stop() {
    this.#stopped.abort();
    await this.#running;
    await Promise.all(this.#lasting);
  }

  async #loop() {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await delay(this.random.between(...PAUSE_MS), undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      if (this.#lasting.size >= AT_ONCE) continue;
      const { name, targets, act } = this.random.pick(this.kinds);
      const free = targets.filter((target) => !this.#busy.has(target));
      if (free.length > 0) this.#begin(name, this.random.pick(free), act);
    }
  }

  #begin(name, target, act) {
    this.faults.set(name, (this.faults.get(name) ?? 0) + 1);
    console.log(`${new Date().toISOString()} ${name} (${target.name})`);
    this.#busy.add(target);
    const lasting = act(target).finally(() => {
      this.#busy.delete(target);
      this.#lasting.delete(lasting);
    });
    this.#lasting.add(lasting);
  }

  async #endRole(role, signal) {
    await role.ready();
    await role.end(signal);
    await role.ready();
  }

  async #freeze(agent) {
    await agent.ready();
    const from = Date.now();
    agent.signal('SIGSTOP');
    await delay(this.leaseMs + this.random.between(1_000, 5_000));
    agent.signal('SIGCONT');
    this.freezes.push({ agent: agent.name, from, to: Date.now() });
  }

  async #restart(engine, signal, [shortest, longest]) {
    await engine.end(signal);
    await delay(this.random.between(shortest, longest));
    await engine.start();
  }

  async #silence(engine) {
    engine.signal('SIGSTOP');
    await delay(this.random.between(1_000, 6_000));
    engine.signal('SIGCONT');
  }
}
