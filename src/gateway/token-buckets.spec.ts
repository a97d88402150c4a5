import { beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../test/support/manual-clock.js';
import { TokenBuckets } from './token-buckets.js';

let clock: ManualClock;
beforeEach(() => {
  clock = new ManualClock();
});
const allowed = (buckets: TokenBuckets, key: string, times: number) =>
  Array.from({ length: times }, () => buckets.take(key).allowed).filter(Boolean).length;

describe('token buckets', () => {
  it('let a minute’s worth come at once, and then one for each share of a minute', () => {
    const buckets = new TokenBuckets(60, clock);
    expect(allowed(buckets, 'alice', 100)).toBe(60);
    clock.advance(999);
    expect(allowed(buckets, 'alice', 5)).toBe(0);
    clock.advance(1);
    expect(allowed(buckets, 'alice', 5)).toBe(1);
    clock.advance(10_000);
    expect(allowed(buckets, 'alice', 100)).toBe(10);
  });

  it('save up no more than a minute’s worth, however long nobody comes', () => {
    const buckets = new TokenBuckets(10, clock);
    expect(allowed(buckets, 'alice', 20)).toBe(10);
    clock.advance(86_400_000);
    expect(allowed(buckets, 'alice', 20)).toBe(10);
  });

  it('count each key for itself', () => {
    const buckets = new TokenBuckets(2, clock);
    expect(allowed(buckets, 'alice', 5)).toBe(2);
    expect(allowed(buckets, 'bob', 5)).toBe(2);
  });

  it('say what is left and when to come again', () => {
    const buckets = new TokenBuckets(2, clock);
    expect(buckets.take('a')).toEqual({ allowed: true, left: 1, retryAfterSeconds: 0, fullInSeconds: 30 });
    expect(buckets.take('a')).toEqual({ allowed: true, left: 0, retryAfterSeconds: 30, fullInSeconds: 60 });
    clock.advance(20_000);
    expect(buckets.take('a')).toEqual({ allowed: false, left: 0, retryAfterSeconds: 10, fullInSeconds: 40 });
    clock.advance(10_000);
    expect(buckets.take('a').allowed).toBe(true);
  });

  it.each([1, 7, 11, 600, 999, 1_000_000])('let exactly %d come at once', (perMinute) => {
    const buckets = new TokenBuckets(perMinute, clock);
    expect(allowed(buckets, 'alice', Math.min(perMinute, 5_000) + 5)).toBe(Math.min(perMinute, 5_005));
  });

  it('take a clock that goes backwards', () => {
    const buckets = new TokenBuckets(2, clock);
    expect(allowed(buckets, 'alice', 2)).toBe(2);
    clock.advance(-3_600_000);
    expect(buckets.take('alice')).toMatchObject({ allowed: false, retryAfterSeconds: 30 });
  });

  it('remember so many keys and forget those that asked longest ago', () => {
    const buckets = new TokenBuckets(1, clock, 3);
    for (const key of ['a', 'b', 'c', 'a', 'd']) buckets.take(key);
    expect(buckets.size).toBe(3);
    expect(buckets.take('a').allowed).toBe(false);
    expect(buckets.take('b').allowed).toBe(true);
  });
});
