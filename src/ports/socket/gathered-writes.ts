import { type Writable } from 'node:stream';

/**
 * From now on, what is written to a socket in one turn of the event loop goes out at the turn's end, in one call of the system.
 * Clients make one call for each command or message, which is most of what those cost in a busy process.
 */
export function gatherWrites(socket: Writable): void {
  const write = socket.write.bind(socket) as (...all: unknown[]) => boolean;
  socket.write = (...all: unknown[]) => {
    if (socket.writableCorked === 0) {
      socket.cork();
      setImmediate(() => socket.uncork());
    }
    return write(...all);
  };
}
