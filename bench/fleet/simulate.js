import { EventQueue } from './event-queue.js';
import { Workers } from './workers.js';

/** Between two samples of the metrics role. */
const SAMPLE_SECONDS = 10;
const KEEP_SAMPLES_SECONDS = 600;
/** A change of direction within this is a flap. */
const FLAP_SECONDS = 600;
/** How long tasks that still wait at the end of the last arrival may take. */
const AFTER_SECONDS = 6 * 3_600;

/**
 * Plays tasks against a policy.
 *
 * @param tasks in the order of their arrival: `{ at, seconds }`
 * @param policy `{ decider, protects, everySeconds, lagSeconds, initial }`: `decider()` makes a function from
 *   `{ now, current, pending, samples }` (seconds; samples as the metrics role puts them, older than `lagSeconds`) to a count
 * @param options `startSeconds`: from the order for a worker until it takes tasks
 */
export function simulate(tasks, policy, { startSeconds = 45, endSeconds = 86_400 } = {}) {
  return new Simulation(tasks, policy, startSeconds, endSeconds).run();
}

class Simulation {
  #tasks;
  #policy;
  #startSeconds;
  #endSeconds;
  #workers;
  #decide;
  #events = new EventQueue();
  #samples = [];
  #curve = [];
  #waits = [];
  #next = 0;
  #head = 0;
  #changes = [];

  constructor(tasks, policy, startSeconds, endSeconds) {
    this.#tasks = tasks;
    this.#policy = policy;
    this.#startSeconds = startSeconds;
    this.#endSeconds = endSeconds;
    this.#workers = new Workers(policy.initial ?? 1, policy.protects);
    this.#decide = policy.decider();
    this.#events.add({ at: 0, kind: 'sample' });
    // Not at the beat of the samples: neither is an EventBridge rule.
    this.#events.add({ at: 7, kind: 'decision' });
  }

  run() {
    const limit = this.#endSeconds + AFTER_SECONDS;
    let now = 0;
    while (now <= limit) {
      const arrival = this.#tasks[this.#next]?.at ?? Infinity;
      now = Math.min(arrival, this.#events.nextAt);
      if (now > this.#endSeconds && this.#idle) break;
      this.#workers.pass(now);
      if (arrival <= now) this.#next += 1;
      else this.#happen(this.#events.take(), now);
      this.#handOut(now);
    }
    return this.#report(now);
  }

  get #waiting() {
    return this.#next - this.#head;
  }

  get #running() {
    return this.#workers.busy.size + this.#workers.leaving.size;
  }

  get #idle() {
    return this.#next === this.#tasks.length && this.#waiting === 0 && this.#running === 0;
  }

  #happen(event, now) {
    if (event.kind === 'finish') this.#workers.finish(event.worker);
    else if (event.kind === 'ready') this.#workers.ready(event.worker);
    else if (event.kind === 'sample') this.#sample(now);
    else this.#decision(now);
  }

  #handOut(now) {
    while (this.#waiting > 0) {
      const worker = this.#workers.take();
      if (worker === undefined) return;
      const task = this.#tasks[this.#head];
      this.#head += 1;
      this.#waits.push(now - task.at);
      this.#events.add({ at: now + task.seconds, kind: 'finish', worker });
    }
  }

  #sample(now) {
    const inFlight = this.#running;
    this.#samples.push({ at: now * 1_000, queueDepth: this.#waiting, inFlight, busyWorkers: inFlight });
    this.#curve.push({ at: now, waiting: this.#waiting, workers: this.#workers.alive, busy: inFlight });
    const oldest = (now - KEEP_SAMPLES_SECONDS) * 1_000;
    while (this.#samples[0].at < oldest) this.#samples.shift();
    this.#events.add({ at: now + SAMPLE_SECONDS, kind: 'sample' });
  }

  #decision(now) {
    const seen = this.#samples.filter(({ at }) => at <= (now - this.#policy.lagSeconds) * 1_000);
    const current = this.#workers.desired;
    if (seen.length > 0) {
      const pending = this.#workers.starting.size;
      const desired = this.#decide({ now, current, pending, samples: seen });
      if (desired !== current) {
        this.#changes.push({ at: now, up: desired > current });
        for (const worker of this.#workers.resize(desired)) {
          this.#events.add({ at: now + this.#startSeconds, kind: 'ready', worker });
        }
      }
    }
    this.#events.add({ at: now + this.#policy.everySeconds, kind: 'decision' });
  }

  #report(now) {
    const waits = Float64Array.from(this.#waits).sort();
    const total = this.#tasks.length;
    const at = (share) => waits[Math.min(waits.length - 1, Math.floor(share * waits.length))] ?? 0;
    const flaps = this.#changes.filter(({ at: when, up }, index) => {
      const before = this.#changes[index - 1];
      return before !== undefined && before.up !== up && when - before.at <= FLAP_SECONDS;
    });
    return {
      tasks: total,
      neverStarted: total - waits.length,
      medianWait: at(0.5),
      p95Wait: at(0.95),
      maxWait: waits.at(-1) ?? 0,
      /** Share of all tasks that started within so many seconds of their arrival. */
      startedWithin: (seconds) => (total === 0 ? 1 : waits.filter((wait) => wait <= seconds).length / total),
      workerHours: this.#workers.paid / 3_600,
      busyAskedToStop: this.#workers.askedWhileBusy,
      flaps: flaps.length,
      changes: this.#changes.length,
      curve: this.#curve,
      seconds: now,
    };
  }
}
