import { type Writable } from 'node:stream';
import { Logger } from '@nestjs/common';
import { connect, type AmqpConnectionManager } from 'amqp-connection-manager';
import { type Channel, type ChannelModel, type ConfirmChannel } from 'amqplib';
import { EngineRefusal, EuglenaError } from '../../domain/errors.js';
import { gatherWrites } from '../socket/gathered-writes.js';

const HEARTBEAT_SECONDS = 10;
/** Spread a little, so that the clients of a broker that comes back do not all come at once. */
const reconnectSeconds = () => 0.5 + Math.random();
const CONNECT_TIMEOUT_MS = 5_000;
/** How long an operation may take, the wait for a lost connection included, in ms: who waits for it is told within 3 s. */
export const OPERATION_TIMEOUT_MS = 2_000;
/** How long it waits for a connection that was lost, in ms. */
const CONNECTION_PATIENCE_MS = 1_500;

/** The client does not tell why the broker closed the connection instead of opening the virtual host. */
const VHOST_REFUSED = /NOT[-_]ALLOWED|\b530\b|ConnectionOpenOk; got <ConnectionClose/;

/** The broker answered, and will give the same answer until somebody changes the settings or the broker. */
export class BrokerRefusal extends EngineRefusal {}

/** One connection to the broker that comes back by itself, and short-lived channels on it. */
export class RabbitConnection {
  private readonly logger = new Logger('WorkQueue');
  private readonly manager: AmqpConnectionManager;
  private readonly place: string;
  private refusal: BrokerRefusal | undefined;
  private blocked = false;
  private closed = false;

  constructor(url: string) {
    const { host, pathname } = new URL(url);
    this.place = `RabbitMQ at ${host}${pathname.length > 1 ? pathname : ''}`;
    this.manager = connect(url, {
      heartbeatIntervalInSeconds: HEARTBEAT_SECONDS,
      reconnectTimeInSeconds: reconnectSeconds(),
      connectionOptions: { noDelay: true, timeout: CONNECT_TIMEOUT_MS },
    });
    this.manager.on('connect', () => {
      const socket = socketOf(this.manager.connection);
      if (socket !== undefined) gatherWrites(socket);
      this.refusal = undefined;
      this.blocked = false;
    });
    this.manager.on('connectFailed', ({ err }) => this.failed(err));
    this.manager.on('disconnect', () => {
      if (!this.closed) this.logger.warn(`The connection to ${this.place} was lost.`);
    });
    this.manager.on('blocked', () => {
      this.blocked = true;
      this.logger.warn(`${this.place} takes no messages for now: it is short of memory or disk.`);
    });
    this.manager.on('unblocked', () => (this.blocked = false));
  }

  onConnect(listener: () => void): void {
    this.manager.on('connect', listener);
  }

  requireOpen(): void {
    if (this.closed) throw new EuglenaError('engine_unavailable', 'The work queue is closed.');
  }

  /** Refuses while the connection is lost, which an operation would wait for. */
  requireConnected(): void {
    if (this.manager.connection === undefined) throw this.refusal ?? this.unavailable('cannot be reached');
  }

  /** Refuses while the broker takes no messages: it would read none until the alarm is over. */
  requireUnblocked(): void {
    if (this.blocked) throw this.unavailable('takes no messages for now');
  }

  /** A new channel. The caller closes it. */
  async channel(): Promise<Channel> {
    return quiet(await (await this.connected()).createChannel());
  }

  async confirmChannel(): Promise<ConfirmChannel> {
    return quiet(await (await this.connected()).createConfirmChannel());
  }

  /** Runs `work` on a channel of its own: a refused operation closes its channel, and takes no other work with it. */
  async run<T>(what: string, work: (channel: Channel) => Promise<T>): Promise<T> {
    return this.inTime(what, async () => {
      const channel = await this.channel();
      try {
        return await work(channel);
      } finally {
        void channel.close().catch(() => undefined);
      }
    });
  }

  /** Every failure comes out as `engine_unavailable`. `isLate` tells `work` that its time is over. */
  async inTime<T>(what: string, work: (isLate: () => boolean) => Promise<T>): Promise<T> {
    this.requireOpen();
    let late = false;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        timer = setTimeout(() => {
          late = true;
          reject(new Error('timeout'));
        }, OPERATION_TIMEOUT_MS);
        work(() => late).then(resolve, reject);
      });
    } catch (error) {
      if (error instanceof EuglenaError) throw error;
      throw this.unavailable(late ? `did not answer in time (${what})` : `failed to ${what}`, error);
    } finally {
      clearTimeout(timer);
    }
  }

  unavailable(problem: string, cause?: unknown): EuglenaError {
    return new EuglenaError('engine_unavailable', `${this.place} ${problem}.`, { cause });
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    const closing = this.manager.close();
    // Between two attempts to connect it would never resolve, and there is nothing to wait for.
    if (!this.manager.isConnected()) return;
    await Promise.race([closing, aborted(AbortSignal.timeout(OPERATION_TIMEOUT_MS))]).catch(() => undefined);
  }

  private async connected(): Promise<ChannelModel> {
    this.requireOpen();
    if (this.manager.connection !== undefined) return this.manager.connection;
    if (this.refusal !== undefined) throw this.refusal;
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(CONNECTION_PATIENCE_MS);
      const end = () => {
        signal.removeEventListener('abort', end);
        this.manager.removeListener('connect', end);
        this.manager.removeListener('connectFailed', refused);
        if (this.manager.connection === undefined)
          reject(this.refusal ?? this.unavailable('cannot be reached'));
        else resolve(this.manager.connection);
      };
      const refused = () => {
        if (this.refusal !== undefined) end();
      };
      signal.addEventListener('abort', end);
      this.manager.on('connect', end);
      this.manager.on('connectFailed', refused);
    });
  }

  private failed(error: Error): void {
    const before = this.refusal?.message;
    if (/ACCESS[-_]REFUSED|\b403\b/.test(error.message)) {
      this.refusal = new BrokerRefusal(
        `${this.place} refuses the user name, the password or their access to the virtual host (RABBITMQ_URL).`,
      );
    } else if (VHOST_REFUSED.test(error.message)) {
      this.refusal = new BrokerRefusal(
        `${this.place} has no such virtual host, or not for this user (the path of RABBITMQ_URL).`,
      );
    } else {
      this.refusal = undefined;
    }
    if (this.refusal !== undefined && this.refusal.message !== before)
      this.logger.error(this.refusal.message);
  }
}

/** The client does not declare it. */
function socketOf(model: ChannelModel | undefined): Writable | undefined {
  return (model?.connection as { readonly stream?: Writable } | undefined)?.stream;
}

/** A channel's error is seen by the operation that fails with it; without a listener it would end the process. */
function quiet<T extends Channel>(channel: T): T {
  channel.on('error', () => undefined);
  return channel;
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('timeout'))));
}
