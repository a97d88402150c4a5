/**
 * The workers of a simulated fleet, each with one task at a time. Fewer are wanted: those that start go first, then idle
 * ones. Of the busy ones a fleet that protects stops none before its work is done; another asks them to stop at once, and
 * that is counted. They finish their task all the same, which is kind to that fleet.
 */
export class Workers {
  starting = new Set();
  idle = [];
  busy = new Set();
  /** Busy workers that take nothing more. */
  leaving = new Set();
  desired;
  askedWhileBusy = 0;
  /** Worker-seconds so far. */
  paid = 0;
  #since = 0;

  constructor(count, protects) {
    this.desired = count;
    this.protects = protects;
    for (let one = 0; one < count; one += 1) this.idle.push({});
  }

  /** Those that are there to work, and those that come. */
  get staying() {
    return this.starting.size + this.idle.length + this.busy.size;
  }

  get alive() {
    return this.staying + this.leaving.size;
  }

  /** Accounts for the time until now. */
  pass(now) {
    this.paid += this.alive * (now - this.#since);
    this.#since = now;
  }

  /** Sets the wanted count; answers the workers that start now. */
  resize(desired) {
    this.desired = desired;
    for (const worker of this.starting) {
      if (this.staying <= desired) break;
      this.starting.delete(worker);
    }
    while (this.staying > desired && this.idle.length > 0) this.idle.pop();
    if (!this.protects) {
      for (const worker of this.busy) {
        if (this.staying <= desired) break;
        this.busy.delete(worker);
        this.leaving.add(worker);
        this.askedWhileBusy += 1;
      }
    }
    const started = [];
    while (this.staying < desired) {
      const worker = {};
      this.starting.add(worker);
      started.push(worker);
    }
    return started;
  }

  /** A worker is up. */
  ready(worker) {
    if (this.starting.delete(worker)) this.idle.push(worker);
  }

  /** An idle worker takes a task; undefined when there is none. */
  take() {
    const worker = this.idle.pop();
    if (worker !== undefined) this.busy.add(worker);
    return worker;
  }

  /** A worker's task is done. */
  finish(worker) {
    if (this.leaving.delete(worker)) return;
    this.busy.delete(worker);
    if (this.staying + 1 <= this.desired) this.idle.push(worker);
  }
}
