import { setTimeout as delay } from 'node:timers/promises';
import { mandateOf } from './soak-model.js';

const SUBMITTERS = 16;
const KEYED = 0.4;
const TWINS = 0.15;
const CANCELLED = 0.08;
const THOUGHTS = [0, 5];
const CANCEL_AFTER_MS = [0, 1_500];
const RETRY_MS = [100, 600];
/** Longer than any outage; a client that got no 202 by then counts its task as refused. */
const RETRY_FOR_MS = 180_000;
const LOOK_EVERY_MS = 300;
const LOOKS_AT_ONCE = 40;

export const isTerminal = ({ status }) => ['completed', 'error', 'cancelled'].includes(status);

/**
 * Users who submit tasks, retry those with a key, cancel some, and look at each until it has ended. Every submission is kept
 * in `tasks`, whatever came of it; `broken` are promises of the API that a client saw broken.
 */
export class SoakLoad {
  tasks = [];
  broken = [];

  constructor({ client, users, random, count, minutes }) {
    this.client = client;
    this.users = users;
    this.random = random;
    this.count = count;
    this.everyMs = (minutes * 60_000) / count;
  }

  get accepted() {
    return this.tasks.filter(({ outcome }) => outcome === 'accepted');
  }

  /** Submits until as many tasks as wanted were accepted, evenly spread over the time. */
  async run() {
    const began = Date.now();
    let next = 0;
    const submitter = async () => {
      while (next < this.count) {
        const at = began + next * this.everyMs;
        next += 1;
        await delay(Math.max(0, at - Date.now()));
        await this.#submitOne();
      }
    };
    await Promise.all(Array.from({ length: SUBMITTERS }, submitter));
    await Promise.all(this.tasks.map(({ cancelling }) => cancelling));
  }

  /** Looks at every task that has not ended, over and over. */
  async watch(signal) {
    while (!signal.aborted) {
      const open = this.tasks.filter(({ id, seen }) => id !== null && seen === null);
      for (let at = 0; at < open.length; at += LOOKS_AT_ONCE) {
        await Promise.all(open.slice(at, at + LOOKS_AT_ONCE).map((task) => this.#look(task)));
      }
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Finds out what became of submissions without an answer. */
  async resolveDoubts() {
    for (const user of this.users) {
      const stored = new Map((await this.client.list(user)).map((task) => [task.mandate, task]));
      for (const task of this.tasks) {
        if (task.user === user && task.outcome === 'in doubt') {
          task.id = stored.get(task.mandate)?.correlation_id ?? null;
        }
      }
    }
  }

  async #submitOne() {
    const until = Date.now() + RETRY_FOR_MS;
    let task;
    do {
      task = this.#newTask();
      if (task.key === null) await this.#submitOnce(task);
      else await this.#submitUntilAccepted(task, until);
      if (task.outcome !== 'accepted') await delay(this.random.between(...RETRY_MS));
    } while (task.outcome !== 'accepted' && Date.now() < until);
  }

  #newTask() {
    const { random } = this;
    const number = this.tasks.length + 1;
    const thoughts = random.between(...THOUGHTS);
    const budget = random.chance(0.1) ? Math.max(1, thoughts) : thoughts + 1 + random.between(0, 4);
    const task = {
      user: random.pick(this.users),
      mandate: mandateOf(number, { thoughts, reads: random.chance(0.25) }),
      maxTicks: budget,
      expectedTicks: Math.min(thoughts + 1, budget),
      key: random.chance(KEYED) ? `key-${number}` : null,
      id: null,
      outcome: 'in doubt',
      cancelAsked: false,
      cancelled: false,
      /** The task as it read when it had ended, and when that was. */
      seen: null,
      endedAt: null,
    };
    this.tasks.push(task);
    return task;
  }

  /** Without a key: only an answer that never came leaves a doubt. */
  async #submitOnce(task) {
    const answer = await this.client.submit(task.user, task);
    if (answer.status === 202) this.#accept(task, answer.body);
    else if (answer.status !== 0 || answer.refused) task.outcome = 'refused';
    this.#expect(answer, [0, 202, 503], task);
  }

  async #submitUntilAccepted(task, until) {
    while (task.outcome !== 'accepted' && Date.now() < until) {
      const twins = Array(this.random.chance(TWINS) ? 2 : 1).fill(null);
      const answers = await Promise.all(twins.map(() => this.client.submit(task.user, task)));
      for (const answer of answers) {
        if (answer.status === 202) this.#accept(task, answer.body);
        this.#expect(answer, [0, 202, 503], task);
      }
      if (task.outcome !== 'accepted') await delay(this.random.between(...RETRY_MS));
    }
  }

  #accept(task, { correlation_id: id }) {
    if (task.id !== null && task.id !== id) this.broken.push(`${task.mandate} is both ${task.id} and ${id}`);
    if (task.outcome === 'accepted') return;
    task.id = id;
    task.outcome = 'accepted';
    if (this.random.chance(CANCELLED)) task.cancelling = this.#cancelLater(task);
  }

  async #cancelLater(task) {
    await delay(this.random.between(...CANCEL_AFTER_MS));
    task.cancelAsked = true;
    const until = Date.now() + RETRY_FOR_MS;
    while (Date.now() < until) {
      const answer = await this.client.cancel(task.user, task.id);
      this.#expect(answer, [0, 200, 503], task);
      if (answer.status === 200) {
        task.cancelled = answer.body.status === 'cancelled';
        if (!isTerminal(answer.body))
          this.broken.push(`${task.id} was cancelled and is ${answer.body.status}`);
        return;
      }
      await delay(this.random.between(...RETRY_MS));
    }
  }

  async #look(task) {
    const answer = await this.client.task(task.user, task.id);
    this.#expect(answer, [0, 200, 503], task);
    if (answer.status !== 200 || !isTerminal(answer.body)) return;
    task.seen = JSON.stringify(answer.body);
    task.endedAt = Date.now();
  }

  /** Keeps the first answer to a task that may not be. */
  #expect({ status, body }, expected, task) {
    if (expected.includes(status) || task.surprised) return;
    task.surprised = true;
    this.broken.push(`${task.id ?? task.mandate}: answered ${status} ${JSON.stringify(body)}`);
  }
}
