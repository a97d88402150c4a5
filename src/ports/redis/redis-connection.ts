import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import { EuglenaError } from '../../domain/errors.js';

/** How long a command may take, connecting included, in ms. */
const PATIENCE_MS = 3_000;
const LONGEST_RECONNECT_MS = 1_000;

/** What Redis itself refuses, and what an operator should know of it. Redis starts each error with its code. */
const REFUSALS: readonly (readonly [sign: RegExp, detail: string])[] = [
  [/^READONLY/, 'Redis is a read-only replica; REDIS_URL must name the primary.'],
  [/^OOM/, 'Redis takes no writes: its memory limit (maxmemory) is reached.'],
  [/^MISCONF/, 'Redis takes no writes: it cannot save its data to disk.'],
  [
    /^(NOAUTH|WRONGPASS|NOPERM|ERR invalid password)/,
    'Redis refuses the user name or password in REDIS_URL.',
  ],
  [/^LOADING/, 'Redis is still loading its data.'],
  [/timed out|timeout/i, 'Redis did not answer in time.'],
  [
    /max retries|connection is closed|connection close|ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH/i,
    'Redis cannot be reached.',
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
  private complained = '';

  /** `prefix` stands before every key and channel, so that several installations can share a server. */
  constructor(
    url: string,
    readonly prefix = '',
  ) {
    this.client = new Redis(url, {
      lazyConnect: true,
      enableAutoPipelining: true,
      commandTimeout: PATIENCE_MS,
      connectTimeout: PATIENCE_MS,
      // Longer than an orderly end takes; its timer outlives the connection.
      disconnectTimeout: 200,
      // Finds out about a server that is silent, not only about one that hangs up.
      socketTimeout: PATIENCE_MS,
      // A lost connection fails what was under way; what comes later waits for one attempt to connect.
      maxRetriesPerRequest: 0,
      retryStrategy: (times) => Math.min(25 * 2 ** Math.min(times, 6), LONGEST_RECONNECT_MS),
      // After a failover the name in the URL may lead to the new primary.
      reconnectOnError: ({ message }) => message.startsWith('READONLY'),
    });
    this.client.on('error', (error: Error) => this.complain(error));
    this.client.on('ready', () => this.recovered());
  }

  /**
   * Sends a command.
   * @throws EuglenaError `engine_unavailable` whatever goes wrong, 3 s from now at the latest.
   */
  async run<T>(command: (client: Redis) => Promise<T>): Promise<T> {
    // A command may wait behind others that time out, so the client's own limit for each does not bound the sum.
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        timer = setTimeout(() => reject(new Error('timed out')), PATIENCE_MS);
        command(this.client).then(resolve, reject);
      });
    } catch (error) {
      throw unavailable(error);
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

  async ping(): Promise<void> {
    await this.run((client) => client.ping());
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

  private openSubscriber(): Redis {
    if (this.subscriber === undefined) {
      // Every `subscribe` of ours subscribes anew by itself, so that it learns when.
      this.subscriber = this.client.duplicate({ enableAutoPipelining: false, autoResubscribe: false });
      this.subscriber.on('error', (error: Error) => this.complain(error));
      // A failure comes as an `error` event too, and the client tries again.
      this.subscriber.connect().catch(() => undefined);
    }
    return this.subscriber;
  }

  /** Once for each outage: a client that tries again each second must not fill the log. */
  private complain(error: Error): void {
    const { message } = unavailable(error);
    if (message === this.complained) return;
    this.complained = message;
    this.logger.warn(message);
  }

  private recovered(): void {
    if (this.complained !== '') this.logger.log('Redis answers again.');
    this.complained = '';
  }
}

/** The vendor's error stays behind: it carries the command with its arguments, the password among them. */
function unavailable(error: unknown): EuglenaError {
  if (error instanceof EuglenaError) return error;
  const { message = '', code = '' } = Object(error) as { message?: string; code?: string };
  const known = REFUSALS.find(([sign]) => sign.test(`${message} ${code}`))?.[1];
  if (known !== undefined) return new EuglenaError('engine_unavailable', known);
  return new EuglenaError('engine_unavailable', 'Redis failed.', { cause: new Error(message) });
}
