import { describe, expect, it } from '@jest/globals';
import { afterAttempt, callbackFromJson, callbackTo, callbackToJson, waitAfter } from './callback.js';

const URL = 'https://client.example.com/euglena';
const refused = { reason: 'The receiver answered 500.', final: false };

describe('a callback', () => {
  it('is delivered when the receiver takes it, after failures too', () => {
    const failed = afterAttempt(callbackTo(URL), refused);
    expect(failed).toEqual({ url: URL, state: 'waiting', attempts: 1, lastFailure: refused.reason });
    expect(afterAttempt(failed, null)).toEqual({
      url: URL,
      state: 'delivered',
      attempts: 2,
      lastFailure: null,
    });
  });

  it('fails for good after eight attempts within a day', () => {
    let callback = callbackTo(URL);
    let waited = 0;
    while (callback.state === 'waiting') {
      callback = afterAttempt(callback, refused);
      if (callback.state === 'waiting') waited += waitAfter(callback.attempts, () => 0.999);
    }
    expect([callback.attempts, callback.state]).toEqual([8, 'failed']);
    expect(waited).toBeLessThan(86_400_000);
  });

  it('fails at once when another attempt would not help', () => {
    expect(afterAttempt(callbackTo(URL), { ...refused, final: true }).state).toBe('failed');
  });

  it('waits longer with each failure, and never the same for all', () => {
    const waits = [1, 2, 3, 4, 5, 6, 7].map((attempts) => waitAfter(attempts, () => 0));
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(waitAfter(1, () => 0.5)).toBeGreaterThan(waitAfter(1, () => 0));
  });

  it('bounds what it keeps of a failure', () => {
    const long = afterAttempt(callbackTo(URL), { reason: 'x'.repeat(5_000), final: false });
    expect(long.lastFailure).toHaveLength(200);
  });

  it('reads what it wrote, and nothing else', () => {
    const callback = afterAttempt(callbackTo(URL), refused);
    expect(callbackFromJson(JSON.parse(JSON.stringify(callbackToJson(callback))))).toEqual(callback);
    for (const none of [null, undefined, 'x', 1, {}, { url: 1 }]) expect(callbackFromJson(none)).toBeNull();
    expect(callbackFromJson({ url: URL, state: 'odd', attempts: -1 })).toEqual(callbackTo(URL));
  });
});
