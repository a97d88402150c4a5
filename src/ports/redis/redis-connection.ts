import { once } from 'node:events';
import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import { EngineRefusal, EuglenaError } from '../../domain/errors.js';
import { gatherWrites } from '../socket/gathered-writes.js';

/** How long a command may take, connecting included, in ms. */
export const PATIENCE_MS = 3_000;
const LONGEST_RECONNECT_MS = 1_000;

/** What Redis refuses until somebody changes its settings or ours. It starts each error with its code. */
const REFUSALS: readonly (readonly [sign: RegExp, problem: string])[] = [
  [/^READONLY/, 'is a read-only replica; REDIS_URL must name the primary'],
  [/^OOM/, 'takes no writes: its memory limit (maxmemory) is reached'],
  [/^MISCONF/, 'takes no writes: it cannot save its data to disk'],
  [/^(NOAUTH|WRONGPASS|ERR invalid password)/, 'refuses the user name or password in REDIS_URL'],
  [/^NOPERM/, 'does not let the user in REDIS_URL do what is needed'],
];
/** What mends itself, or nobody knows whether. */
const TROUBLES: typeof REFUSALS = [
  [/^NOREPLICAS/, 'takes no writes: too few of its replicas are there'],
  [/^LOADING/, 'is still loading its data'],
  [/^Protocol error/i, 'does not speak as Redis does'],
  [/timed out|timeout/i, 'did not answer in time'],
  [
    /max retries|connection is closed|connection close|ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH/i,
    'cannot be reached',
  ],
];

/** A Lua script that the server runs as one atomic step. */
export type RedisScript = (...args: (string | number)[]) => Promise<unknown>;

/**
 * The connection of a process to Redis: commands of one turn of the event loop go out together, and a second connection
 * brings published messages. It connects with the first use, and again by itself whenever it was lost. A command is
 * never sent twice: one whose answer is lost fails, and may have been carried out.
 */
export class RedisConnection {
  private readonly logger = new Logger('Redis');
  private readonly client: Redis;
  private subscriber: Redis | undefined;
  private readonly place: string;
  private complained = '';
  private connecting: Promise<void> | undefined;

  /** `prefix` stands before every key and channel, so that several installations can share a server. */
  constructor(
    url: string,
    readonly prefix = '',
  ) {
    this.place = `Redis at ${new URL(url).host}`;
    this.client = new Redis(url, {
      lazyConnect: true,
      commandTimeout: PATIENCE_MS,
      connectTimeout: PATIENCE_MS,
      // Longer than an orderly end takes; its timer outlives the connection.
      disconnectTimeout: 200,
      // Finds out about a server that is silent, not only about one that hangs up.
      socketTimeout: PATIENCE_MS,
      // A lost connection fails what was under way; what comes later waits for one attempt to connect.
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      retryStrategy: (times) => Math.min(25 * 2 ** Math.min(times, 6), LONGEST_RECONNECT_MS),
      // After a failover the name in the URL may lead to the new primary.
      reconnectOnError: ({ message }) => message.startsWith('READONLY'),
    });
    this.client.on('error', (error: Error) => this.complain(error));
    // The client's own pipelines do the same in twice the time, and let a command wait for those before it.
    this.client.on('connect', () => gatherWrites(this.client.stream));
    this.client.on('ready', () => this.recovered());
  }

  /**
   * Sends a command. While there is no connection it waits for one attempt to connect, and is not sent when that fails.
   * @throws EuglenaError `engine_unavailable` whatever goes wrong, 3 s from now at the latest.
   */
  async run<T>(command: (client: Redis) => Promise<T>): Promise<T> {
    // A command may wait behind others that time out, so the client's own limit for each does not bound the sum.
    let timer: NodeJS.Timeout | undefined;
    let late = false;
    let sent = false;
    try {
      return await new Promise<T>((resolve, reject) => {
        timer = setTimeout(() => {
          late = true;
          reject(new Error('timed out'));
        }, PATIENCE_MS);
        const send = () => {
          // Its caller has been told that it was not sent.
          if (late) return;
          sent = true;
          command(this.client).then(resolve, reject);
        };
        if (this.client.status === 'ready') send();
        else this.connected().then(send, reject);
      });
    } catch (error) {
      throw this.unavailable(error, !sent);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Makes a script callable. It gets {@link prefix} as `ARGV[1]`, the given arguments from `ARGV[2]` on, and no keys. */
  script(name: string, lua: string): RedisScript {
    this.client.defineCommand(name, { lua, numberOfKeys: 0 });
    const commands = this.client as unknown as Record<string, RedisScript>;
    return (...args) => this.run(async () => commands[name]?.(this.prefix, ...args));
  }

  /** Rejects when Redis cannot be reached, and also when it takes no writes. */
  async ping(): Promise<void> {
    // Refused like any write (replica, memory, disk), yet it writes nothing: the key is never there.
    await this.run((client) => client.set(`${this.prefix}tasks:probe`, '', 'PX', 1, 'XX'));
  }

  /**
   * Calls `onMessage` with each message of a channel. `onSubscribed` is called whenever messages begin to arrive, at first
   * and after each outage: what was published before is lost. Returns the way to stop.
   */
  subscribe(channel: string, onMessage: (message: string) => void, onSubscribed: () => void): () => void {
    const subscriber = this.openSubscriber();
    const name = this.prefix + channel;
    const hear = (from: string, message: string) => {
      if (from === name) onMessage(message);
    };
    const begin = () => {
      subscriber.subscribe(name).then(onSubscribed, (error: Error) => this.complain(error));
    };
    subscriber.on('message', hear);
    subscriber.on('ready', begin);
    if (subscriber.status === 'ready') begin();
    return () => {
      subscriber.off('message', hear);
      subscriber.off('ready', begin);
      // Others may listen to the channel, and its few messages to nobody cost nothing.
    };
  }

  close(): void {
    this.client.disconnect();
    this.subscriber?.disconnect();
  }

  /** Resolves when commands can be sent; rejects when the next attempt to connect fails. */
  private connected(): Promise<void> {
    this.connecting ??= this.nextAttempt().finally(() => (this.connecting = undefined));
    return this.connecting;
  }

  /** The client's own queue for such a time would send a command late, after its caller was told that it failed. */
  private async nextAttempt(): Promise<void> {
    const { client } = this;
    if (client.status === 'end') throw new Error('connection is closed');
    if (client.status === 'wait') client.connect().catch(() => undefined);
    const decided = new AbortController();
    const { signal } = decided;
    const lost = async (event: string): Promise<never> => {
      await once(client, event, { signal });
      throw new Error('connection is closed');
    };
    // Each of the three rejects with the client's `error`, if there is one: it says best what is wrong.
    await Promise.race([once(client, 'ready', { signal }), lost('close'), lost('end')]).finally(() =>
      decided.abort(),
    );
  }

  private openSubscriber(): Redis {
    if (this.subscriber === undefined) {
      // Every `subscribe` of ours subscribes anew by itself, so that it learns when.
      this.subscriber = this.client.duplicate({ autoResubscribe: false });
      this.subscriber.on('error', (error: Error) => this.complain(error));
      // A failure comes as an `error` event too, and the client tries again.
      this.subscriber.connect().catch(() => undefined);
    }
    return this.subscriber;
  }

  /** Once for each outage: a client that tries again each second must not fill the log. */
  private complain(error: Error): void {
    const { message } = this.unavailable(error);
    if (message === this.complained) return;
    this.complained = message;
    this.logger.warn(message);
  }

  private recovered(): void {
    if (this.complained !== '') this.logger.log(`${this.place} answers again.`);
    this.complained = '';
  }

  /** The vendor's error stays behind: it carries the command with its arguments, the password among them. */
  private unavailable(error: unknown, nothingDone = false): EuglenaError {
    if (error instanceof EuglenaError) return error;
    const { message = '', code = '' } = Object(error) as { message?: string; code?: string };
    const among = (known: typeof REFUSALS) => known.find(([sign]) => sign.test(`${message} ${code}`))?.[1];
    const refusal = among(REFUSALS);
    // A step is refused at its first write, which is its whole.
    if (refusal !== undefined) return new EngineRefusal(`${this.place} ${refusal}.`, { nothingDone: true });
    const trouble = among(TROUBLES);
    if (trouble !== undefined) {
      return new EuglenaError('engine_unavailable', `${this.place} ${trouble}.`, { nothingDone });
    }
    const cause = new Error(message);
    return new EuglenaError('engine_unavailable', `${this.place} failed.`, { nothingDone, cause });
  }
}
