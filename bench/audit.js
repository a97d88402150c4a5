import { productsOwn } from './products-own.js';
import { liveLeases, strayKeys, workLeft } from './leftovers.js';
import { request } from './soak-client.js';
import { isTerminal } from './soak-load.js';
import { answerTo } from './soak-model.js';

const JOURNALS_AT_ONCE = 8;
/** For how long after it woke an agent may not know yet that others went on with its tasks, in ms. */
const WAKING_MS = 5_000;

/**
 * Reads everything back and compares it with what clients, model and chaos remember. Answers one list of findings for each
 * promise; all of them empty when everything holds.
 */
export class Audit {
  findings = {
    'accepted, but not ended': [],
    'accepted, but not known any more': [],
    'ended with an error': [],
    'ended otherwise than asked': [],
    'changed after its end': [],
    'journals that do not hold': [],
    'ticks missing or written twice': [],
    'ticks charged wrongly': [],
    'quota of a user is not its tasks’ usage': [],
    'model asked for a tick that was written': [],
    'tasks that nobody submitted': [],
    'traces of refused submissions': [],
    'promises of the API that clients saw broken': [],
    'work left in queues and lists': [],
    'leases that still run': [],
    'stray keys in Redis': [],
    'keys left behind by a purge': [],
    'processes that ended by themselves': [],
    'processes that are not ready': [],
  };
  /** For information. */
  facts = { reclaims: 0, ticks: 0, askedByWoken: 0, withoutMemory: 0 };

  constructor({ load, client, users, model, chaos, roles, engines, ownsRedis, days }) {
    Object.assign(this, { load, client, users, model, chaos, roles, engines, ownsRedis, days });
    this.records = new Map();
  }

  async run() {
    Object.assign(this, await productsOwn(this.engines.redisUrl));
    for (const text of this.load.broken) this.#find('promises of the API that clients saw broken', text);
    await this.#lists();
    await this.#tasks();
    await this.#quota();
    await this.#leftovers();
    await this.#processes();
    await this.#purge();
    return this.findings;
  }

  #find(promise, text) {
    this.findings[promise].push(text);
  }

  /** Each user's list against what that user submitted. */
  async #lists() {
    const submitted = new Map(this.load.tasks.map((task) => [task.mandate, task]));
    for (const user of this.users) {
      for (const record of await this.client.list(user)) {
        this.records.set(record.correlation_id, record);
        const task = submitted.get(record.mandate);
        if (
          task === undefined ||
          task.user !== user ||
          (task.id !== null && task.id !== record.correlation_id)
        ) {
          this.#find('tasks that nobody submitted', `${record.correlation_id} of ${user}: ${record.mandate}`);
        } else if (task.outcome === 'refused') {
          this.#find('traces of refused submissions', `${record.correlation_id}: ${record.status}`);
        }
      }
    }
  }

  async #tasks() {
    const known = this.load.tasks.filter(({ id }) => id !== null);
    for (let at = 0; at < known.length; at += JOURNALS_AT_ONCE) {
      await Promise.all(known.slice(at, at + JOURNALS_AT_ONCE).map((task) => this.#task(task)));
    }
  }

  async #task(task) {
    const { id, user, seen } = task;
    const { status, body } = await this.client.task(user, id);
    if (status !== 200) return this.#find('accepted, but not known any more', `${id}: answered ${status}`);
    if (!this.records.has(id)) this.#find('accepted, but not known any more', `${id} is not in the list`);
    if (!isTerminal(body)) {
      const lease = JSON.stringify(await this.engines.redis.hgetall(`task:${id}:lease`));
      return this.#find(
        'accepted, but not ended',
        `${id} is ${body.status} since ${body.updated_at}, ${lease}`,
      );
    }
    if (seen !== null && seen !== JSON.stringify(body)) {
      this.#find('changed after its end', `${id}: ${seen} became ${JSON.stringify(body)}`);
    }
    if (body.status === 'error') this.#find('ended with an error', `${id}: ${JSON.stringify(body.error)}`);
    this.#outcome(task, body);
    this.#journal(task, body, await this.client.journal(user, id));
  }

  #outcome(task, { status, result, usage }) {
    const wrong = (text) => this.#find('ended otherwise than asked', `${task.id}: ${text}`);
    if (status === 'cancelled' && !task.cancelAsked) wrong('cancelled by nobody');
    if (task.cancelled && status !== 'cancelled') wrong(`cancelled, and then ${status}`);
    if (status !== 'completed') return;
    if (usage.ticks !== task.expectedTicks) wrong(`${usage.ticks} instead of ${task.expectedTicks} ticks`);
    if (result.exit_reason === 'answered' && result.answer !== answerTo(task.mandate))
      wrong('another answer');
  }

  #journal(task, record, json) {
    const { id } = task;
    const entries = json.map(this.readJournal);
    const ofType = (type) => entries.filter((entry) => entry.type === type);
    const broken = entries.includes(null) ? 'an unreadable entry' : this.findBreak(entries);
    if (broken) return this.#find('journals that do not hold', `${id}: ${JSON.stringify(broken)}`);
    const last = entries.at(-1);
    if (ofType('finished').length !== 1 || last.type !== 'finished') {
      this.#find('journals that do not hold', `${id}: finished ${ofType('finished').length} times`);
    }
    if (record.result !== null && record.result.receipt !== last.hash) {
      this.#find('journals that do not hold', `${id}: the receipt is not its end`);
    }
    const ticks = ofType('tick');
    const numbers = ticks.map(({ data }) => data.tick);
    if (numbers.some((tick, index) => tick !== index + 1) || numbers.length !== record.usage.ticks) {
      this.#find('ticks missing or written twice', `${id}: ${numbers} with usage ${record.usage.ticks}`);
    }
    this.facts.reclaims += Math.max(0, ofType('accepted').length - 1);
    this.facts.ticks += ticks.length;
    this.facts.withoutMemory += entries.filter(({ data }) => data.memory === 'unavailable').length;
    this.#questions(task, ticks);
  }

  /** A question whose answer was in the journal already, unless an agent asked that had just woken. */
  #questions(task, ticks) {
    for (const { tick, agent, at } of this.model.asked(task.mandate)) {
      const written = ticks.find(({ data }) => data.tick === tick);
      if (written === undefined || written.at >= at) continue;
      const woken = this.chaos.freezes.some(
        (freeze) => freeze.agent === agent && at >= freeze.from && at <= freeze.to + WAKING_MS,
      );
      if (woken) this.facts.askedByWoken += 1;
      else {
        const late = `${at - written.at} ms after it was decided`;
        this.#find(
          'model asked for a tick that was written',
          `${task.id}: tick ${tick} by ${agent}, ${late}`,
        );
      }
    }
  }

  /** The ledger by task, and what the API says of each user. */
  async #quota() {
    const charged = new Map();
    for (const { id, owner, settled, reserved } of this.engines.ledger()) {
      const used = this.records.get(id)?.usage.ticks ?? 0;
      if (settled !== used) {
        this.#find('ticks charged wrongly', `${id}: ${settled} of ${reserved} charged, ${used} used`);
      }
      charged.set(owner, (charged.get(owner) ?? 0) + used);
    }
    // The API tells of today only.
    if (new Set([...this.days, new Date().toISOString().slice(0, 10)]).size > 1) return;
    for (const user of this.users) {
      const used = await this.client.quotaUsed(user);
      if (used !== (charged.get(user) ?? 0)) {
        this.#find(
          'quota of a user is not its tasks’ usage',
          `${user}: ${used} instead of ${charged.get(user)}`,
        );
      }
    }
  }

  async #leftovers() {
    for (const [place, count] of Object.entries(await workLeft(this.engines))) {
      if (count !== 0 && count !== null) this.#find('work left in queues and lists', `${place}: ${count}`);
    }
    const { redis } = this.engines;
    const ids = [...this.records.keys()];
    for (const id of await liveLeases(redis, ids)) this.#find('leases that still run', id);
    // Another's server may hold keys of others.
    if (!this.ownsRedis) return;
    const workers = await redis.smembers('workers:status');
    for (const key of await strayKeys(redis, { users: this.users, ids, workers })) {
      this.#find('stray keys in Redis', key);
    }
    const finished = await redis.zcard('tasks:finished');
    if (finished !== ids.length)
      this.#find('stray keys in Redis', `${finished} ended of ${ids.length} tasks`);
  }

  /** Removes every task as the gateway does when they have been kept long enough. */
  async #purge() {
    if (!this.ownsRedis) return;
    await this.purgeAll();
    const workers = await this.engines.redis.smembers('workers:status');
    for (const key of await strayKeys(this.engines.redis, { users: [], ids: [], workers })) {
      this.#find('keys left behind by a purge', key);
    }
  }

  async #processes() {
    for (const { name, crashes, url } of this.roles) {
      for (const crash of crashes) this.#find('processes that ended by themselves', `${name}: ${crash}`);
      const { status } = await request(`${url}/health/ready`);
      if (status !== 200) this.#find('processes that are not ready', `${name}: answered ${status}`);
    }
    const agents = this.roles.filter(({ role }) => role === 'agent').length;
    const { body } = await request(`${this.client.urls[0]}/agents/count`);
    if (body?.count !== agents)
      this.#find('processes that are not ready', `${body?.count} of ${agents} agents live`);
  }
}
