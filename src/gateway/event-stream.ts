import { Readable } from 'node:stream';

/** What a browser waits before it connects again, in ms. */
const RECONNECT_MS = 2_000;
const BEGINNING = Buffer.from(`retry: ${RECONNECT_MS}\n\n`);
const KEEP_ALIVE = Buffer.from(': keep-alive\n\n');

/** What a stream follows. */
export interface Followed {
  /** What is known by now, as it goes over the wire: entry `n` at `n - 1`. */
  readonly frames: readonly Buffer[];
  /** Whether there will never be more frames. */
  readonly over: boolean;
  /** The stream wants no more. */
  leave(stream: EventStream): void;
}

/** The events of a task for one follower, of whom nothing is read ahead: a frame is taken when there is room for it. */
export class EventStream extends Readable {
  private hasRoom = false;

  constructor(
    private readonly followed: Followed,
    /** Sequence number of the last entry that the follower has. */
    private seq: number,
    /** Epoch ms at which the follower's token ends. */
    readonly expiresAt: number,
  ) {
    super();
    this.push(BEGINNING);
  }

  /** Gives the frames that there is room for; ends behind the last one. */
  advance(): void {
    for (let frame; this.hasRoom && (frame = this.followed.frames[this.seq]); this.seq += 1) {
      this.hasRoom = this.push(frame);
    }
    if (this.hasRoom && this.followed.over) this.finish();
  }

  /** Says in silence that the stream lives, so that proxies leave it open. */
  keepAlive(): void {
    if (this.hasRoom) this.hasRoom = this.push(KEEP_ALIVE);
  }

  /** Ends behind what was given. */
  finish(): void {
    this.hasRoom = false;
    this.push(null);
  }

  override _read(): void {
    this.hasRoom = true;
    this.advance();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.hasRoom = false;
    this.followed.leave(this);
    done(error);
  }
}
