import { z } from 'zod';
import { parkingPrefixOf } from './rabbitmq-topology.js';

const TIMEOUT_MS = 3_000;
/** The largest page that the management API gives. */
const PAGE_SIZE = 500;

const answer = z.object({
  items: z.array(
    z.object({
      name: z.string(),
      messages: z.number().optional(),
      messages_unacknowledged: z.number().optional(),
      head_message_timestamp: z.number().nullish(),
    }),
  ),
});

/** What the management API adds to AMQP's own figures. Some seconds old: the broker collects them at intervals. */
export interface BrokerFigures {
  readonly inFlight: number;
  readonly parked: number;
  /** When the message at the queue's head was published, in epoch ms; null when the queue's type does not tell. */
  readonly headPublishedAt: number | null;
}

/** Reads queue figures over HTTP. Credentials: those of its URL, or else those of the broker's. */
export class RabbitManagement {
  private readonly url: URL;
  private readonly authorization: string;

  constructor(
    managementUrl: string,
    brokerUrl: string,
    private readonly queueName: string,
  ) {
    const management = new URL(managementUrl);
    const broker = new URL(brokerUrl);
    const { username, password } = management.username === '' ? broker : management;
    const credentials = `${decodeURIComponent(username) || 'guest'}:${decodeURIComponent(password) || 'guest'}`;
    this.authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
    const vhost = broker.pathname.length > 1 ? broker.pathname.slice(1) : '%2F';
    const base = `${management.origin}${management.pathname.replace(/\/$/, '')}`;
    this.url = new URL(`${base}/api/queues/${vhost}`);
    this.url.search = new URLSearchParams({
      page: '1',
      page_size: `${PAGE_SIZE}`,
      name: `^${queueName.replaceAll('.', '\\.')}(\\.parked\\..*)?$`,
      use_regex: 'true',
      columns: 'name,messages,messages_unacknowledged,head_message_timestamp',
    }).toString();
  }

  async figures(): Promise<BrokerFigures> {
    const response = await fetch(this.url, {
      headers: { authorization: this.authorization },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!response.ok) throw new Error(`the management API answered ${response.status}`);
    const { items } = answer.parse(await response.json());
    const main = items.find(({ name }) => name === this.queueName);
    const parked = items.filter(({ name }) => name.startsWith(parkingPrefixOf(this.queueName)));
    const head = main?.head_message_timestamp ?? null;
    return {
      inFlight: main?.messages_unacknowledged ?? 0,
      parked: parked.reduce((sum, { messages = 0 }) => sum + messages, 0),
      headPublishedAt: head === null ? null : head * 1_000,
    };
  }
}
