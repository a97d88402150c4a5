import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { SignJWT } from 'jose';

const { fetch, AbortSignal, TextEncoder } = globalThis;

/** Nothing of the API takes this long, even while an engine is away. */
const PATIENCE_MS = 20_000;

/** The access tokens that a gateway with this secret takes, by user. */
export async function tokensFor(users, secret) {
  const sign = (user) =>
    new SignJWT({ role: 'authenticated' })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setAudience('authenticated')
      .setSubject(user)
      .setIssuedAt()
      .setExpirationTime('1d')
      .sign(new TextEncoder().encode(secret));
  return new Map(await Promise.all(users.map(async (user) => [user, await sign(user)])));
}

/** The HTTP API of several gateways, as a load balancer without health checks would show it. */
export class SoakClient {
  /** How often each kind of answer came to each call, and how long the longest took, in ms. */
  answers = new Map();

  constructor(urls, tokens, random) {
    this.urls = urls;
    this.tokens = tokens;
    this.random = random;
  }

  /** A request to any gateway, counted by its answer. */
  async call(user, what, path, init = {}) {
    const url = `${this.random.pick(this.urls)}${path}`;
    const headers = { authorization: `Bearer ${this.tokens.get(user)}`, ...init.headers };
    const began = Date.now();
    const answer = await request(url, { ...init, headers });
    this.#count(what, answer.status, Date.now() - began);
    return answer;
  }

  submit(user, { mandate, maxTicks, key }) {
    return this.call(user, 'submit', '/tasks', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key === null ? {} : { 'idempotency-key': key }) },
      body: JSON.stringify({ mandate, max_ticks: maxTicks }),
    });
  }

  task(user, id) {
    return this.call(user, 'read', `/tasks/${id}`);
  }

  cancel(user, id) {
    return this.call(user, 'cancel', `/tasks/${id}/cancel`, { method: 'POST' });
  }

  async quotaUsed(user) {
    const { status, body } = await this.call(user, 'quota', '/quota');
    return status === 200 ? body.used : null;
  }

  /** All tasks of a user. */
  async list(user) {
    const tasks = [];
    for (let cursor = ''; cursor !== null;) {
      const query = `limit=100${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
      const { status, body } = await this.call(user, 'list', `/tasks?${query}`);
      if (status !== 200) throw new Error(`the list of tasks was answered ${status}`);
      tasks.push(...body.tasks);
      cursor = body.next_cursor;
    }
    return tasks;
  }

  /** The entries of an ended task's journal, as its event stream tells them. */
  async journal(user, id) {
    const response = await fetch(`${this.random.pick(this.urls)}/tasks/${id}/events`, {
      headers: { authorization: `Bearer ${this.tokens.get(user)}` },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (response.status !== 200) throw new Error(`the journal of ${id} was answered ${response.status}`);
    const entries = [];
    const lines = createInterface(Readable.fromWeb(response.body));
    lines.on('line', (line) => line.startsWith('data: ') && entries.push(JSON.parse(line.slice(6))));
    await once(lines, 'close');
    return entries;
  }

  #count(what, status, ms) {
    const name = `${what} ${status === 0 ? 'no answer' : status}`;
    const { count = 0, longestMs = 0 } = this.answers.get(name) ?? {};
    this.answers.set(name, { count: count + 1, longestMs: Math.max(longestMs, ms) });
  }
}

/**
 * Status and body of an answer; status 0 when there was none, because the connection broke or (`refused`) because nobody
 * listened.
 */
export function request(url, init = {}) {
  return fetch(url, { ...init, signal: AbortSignal.timeout(PATIENCE_MS) })
    .then(async (response) => ({ status: response.status, body: await response.json() }))
    .catch((error) => ({ status: 0, body: null, refused: error.cause?.code === 'ECONNREFUSED' }));
}
