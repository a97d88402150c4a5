import { Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { gatherWrites } from './gathered-writes.js';

/** Remembers what each call of the system would have carried. */
class Socket extends Writable {
  readonly calls: string[] = [];

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.calls.push(chunk.toString());
    done();
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.calls.push(chunks.map(({ chunk }) => chunk.toString()).join('|'));
    done();
  }
}

describe('gathered writes', () => {
  it('go out together at the end of each turn, in their order', async () => {
    const socket = new Socket();
    gatherWrites(socket);
    socket.write('a');
    socket.write('b');
    await Promise.resolve();
    socket.write('c');
    expect(socket.calls).toEqual([]);
    await setImmediate();
    expect(socket.calls).toEqual(['a|b|c']);
    socket.write('d');
    await setImmediate();
    expect(socket.calls).toEqual(['a|b|c', 'd']);
  });

  it('tell each writer, and whether there is room', async () => {
    const socket = new Socket({ highWaterMark: 4 });
    gatherWrites(socket);
    const told: string[] = [];
    expect(socket.write('12', () => told.push('first'))).toBe(true);
    expect(socket.write('34', () => told.push('second'))).toBe(false);
    await setImmediate();
    await setImmediate();
    expect(told).toEqual(['first', 'second']);
  });

  it('before an end go out before it', async () => {
    const socket = new Socket();
    gatherWrites(socket);
    socket.write('a');
    socket.end('b');
    await setImmediate();
    expect(socket.calls.join('|')).toBe('a|b');
    expect(socket.writableFinished).toBe(true);
  });

  it('to a socket that breaks meanwhile fail, and nothing else does', async () => {
    const socket = new Socket();
    gatherWrites(socket);
    const failed: unknown[] = [];
    socket.on('error', () => undefined);
    socket.write('a', (error) => failed.push(error));
    socket.destroy(new Error('reset'));
    await setImmediate();
    await setImmediate();
    expect(socket.calls).toEqual([]);
    expect(failed).toHaveLength(1);
  });
});
