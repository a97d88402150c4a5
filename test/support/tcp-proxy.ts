import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  'amqp:': 5672,
  'amqps:': 5671,
  'redis:': 6379,
  'rediss:': 6379,
  'http:': 80,
  'https:': 443,
};

/** The network between a client and a server, in a test's hands. */
export interface TcpProxy {
  /** The target's URL with this proxy's host and port. */
  readonly url: string;
  /** Resets every connection. New ones are let through. */
  cut(): void;
  /** From now on nothing arrives, on old connections and new ones, and nobody is told: a network that drops packets. */
  silence(): void;
  /** Resets every connection and refuses new ones: a server that is gone. */
  refuse(): void;
  /** Whatever the server says arrives `ms` later. */
  delay(ms: number): void;
  /** Whatever the server says arrives at this rate at most. */
  throttle(bytesPerSecond: number): void;
  /** All is well again; what was held back arrives now, in its order. */
  heal(): void;
  close(): Promise<void>;
}

/** What is wrong with the network at present. */
interface Trouble {
  silent: boolean;
  delayMs: number;
  msPerByte: number;
}

/** Listens on a free port of 127.0.0.1 and passes everything on to the server of `targetUrl`. */
export async function startTcpProxy(targetUrl: string): Promise<TcpProxy> {
  const target = new URL(targetUrl);
  const targetPort = Number(target.port) || (DEFAULT_PORTS[target.protocol] ?? 0);
  const trouble: Trouble = { silent: false, delayMs: 0, msPerByte: 0 };
  const none: Trouble = { ...trouble };
  const lanes = new Set<Lane>();
  const sockets = new Set<Socket>();
  const listener = createServer({ allowHalfOpen: true }, (near) => {
    const host = target.hostname.replace(/^\[|\]$/g, '');
    const far = connect({ port: targetPort, host, allowHalfOpen: true });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
    for (const lane of [new Lane(near, far, { ...none }, trouble), new Lane(far, near, trouble, trouble)]) {
      lanes.add(lane);
      lane.onEnd(() => lanes.delete(lane));
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const url = new URL(targetUrl);
  url.host = `127.0.0.1:${port}`;

  const cut = () => {
    lanes.forEach((lane) => lane.drop());
    sockets.forEach(reset);
  };
  const change = (to: Partial<Trouble>) => {
    Object.assign(trouble, to);
    lanes.forEach((lane) => lane.update());
  };
  return {
    url: url.href,
    cut,
    silence: () => change({ silent: true }),
    refuse: () => {
      if (listener.listening) listener.close();
      cut();
    },
    delay: (delayMs) => change({ delayMs }),
    throttle: (bytesPerSecond) => change({ msPerByte: 1_000 / bytesPerSecond }),
    heal: () => {
      change(none);
      if (!listener.listening) listener.listen(port, '127.0.0.1');
    },
    close: async () => {
      cut();
      if (!listener.listening) return;
      listener.close();
      await once(listener, 'close');
    },
  };
}

/** One direction of one connection. An end or a reset waits in the line behind the data. */
class Lane {
  private readonly line: { readonly due: number; readonly step: () => void }[] = [];
  private timer: NodeJS.Timeout | undefined;
  private lastDue = 0;

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly pace: Trouble,
    private readonly trouble: Trouble,
  ) {
    from.setNoDelay(true);
    from.on('data', (data: Buffer) => this.queue(data.length, () => to.write(data)));
    from.on('end', () => this.queue(0, () => to.end()));
    // Its other side learns of it through the line.
    from.on('error', () => this.queue(0, () => reset(to)));
    this.update();
  }

  /** Nobody is left to pass anything on to. */
  onEnd(listener: () => void): void {
    this.to.once('close', () => {
      this.drop();
      listener();
    });
  }

  /** Loses what is on its way. */
  drop(): void {
    clearTimeout(this.timer);
    this.line.length = 0;
  }

  /** Looks at what is wrong now. */
  update(): void {
    if (this.trouble.silent) this.from.pause();
    else this.from.resume();
    this.pass();
  }

  private queue(size: number, step: () => void): void {
    this.lastDue = Math.max(this.lastDue, performance.now() + this.pace.delayMs) + size * this.pace.msPerByte;
    this.line.push({ due: this.lastDue, step });
    this.pass();
  }

  private pass(): void {
    clearTimeout(this.timer);
    if (this.trouble.silent) return;
    const wait = () => (this.line[0]?.due ?? Infinity) - performance.now();
    while (wait() <= 0) this.line.shift()?.step();
    if (this.line.length > 0) this.timer = setTimeout(() => this.pass(), Math.ceil(wait()));
  }
}

/** A socket that is just ending cannot be reset any more. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
