import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { EventStreamParser } from './event-stream.js';

const STREAM = [
  'retry: 250\n\n: keep-alive\n\n',
  'id: 1\nevent: tick\ndata: {"a":1}\n\n',
  'id: 2\r\ndata: one\r\ndata:two\r\n\r\n',
  'id: 3\revent: ended\rdata\r\r',
  'id: 4\ndata: never finished\n',
].join('');
const EVENTS = [
  { type: 'tick', data: '{"a":1}' },
  { type: 'message', data: 'one\ntwo' },
  { type: 'ended', data: '' },
];

describe('EventStreamParser', () => {
  it('reads events with every kind of line end and leaves out the unfinished one', () => {
    const parser = new EventStreamParser();
    expect(parser.push(STREAM)).toEqual(EVENTS);
    expect(parser).toMatchObject({ lastEventId: '3', retryMs: 250 });
  });

  it('reads the same however the stream is cut into pieces', () => {
    const cuts = fc.array(fc.nat(STREAM.length), { maxLength: 12 });
    fc.assert(
      fc.property(cuts, (places) => {
        const ends = [...places, STREAM.length].sort((a, b) => a - b);
        const parser = new EventStreamParser();
        const events = ends.flatMap((end, index) =>
          parser.push(STREAM.slice(index === 0 ? 0 : ends[index - 1], end)),
        );
        expect(events).toEqual(EVENTS);
      }),
    );
  });

  it('ignores unknown fields, odd pauses and ids with a null', () => {
    const parser = new EventStreamParser();
    expect(parser.push('retry: soon\nid: 1\0\nother: x\ndata:  kept\n\n')).toEqual([
      { type: 'message', data: ' kept' },
    ]);
    expect(parser).toMatchObject({ lastEventId: '', retryMs: undefined });
  });
});
