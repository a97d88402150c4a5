import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { type AuthAnswer } from '../support/supabase-auth-server.js';
import { JwksHarness } from './identity.jwks.harness.js';
import { publicJwk } from './identity.jwt-cases.js';

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 3_600_000;
const UNAVAILABLE = { name: 'EuglenaError', code: 'engine_unavailable' };

describe('the published keys of an issuer', () => {
  let h: JwksHarness;
  beforeEach(async () => {
    h = await JwksHarness.open();
  });
  afterEach(() => h.close());

  describe('while the issuer answers', () => {
    it('are fetched once, with the anon key, for however many tokens come at once', async () => {
      h.server.keySet.answer('hold');
      const all = Array.from({ length: 50 }, () => h.identity.verify(h.token('es1')));
      await eventually('the fetch', () => h.fetches() === 1);
      h.server.keySet.publish([publicJwk('es1')]);
      expect(await Promise.all(all)).toHaveLength(50);
      await h.takes(h.token('es1'));
      expect(h.server.keySet.requests.map(({ apikey }) => apikey)).toEqual(['the-anon-key']);
    });

    it('are fetched anew in the background after 5 minutes: nobody waits', async () => {
      await h.takes(h.token('es1'));
      h.clock.advance(5 * MINUTE);
      h.server.keySet.answer('hold');
      for (let time = 0; time < 5; time += 1) await h.takes(h.token('es1'));
      await eventually('the fetch', () => h.fetches() === 2);
      h.server.keySet.publish([publicJwk('es1')]);
      const withdrawn = h.token('rs1');
      await eventually('the new set', () =>
        h.identity.verify(withdrawn).then(
          () => false,
          () => true,
        ),
      );
    });

    it('follow a rotation: a new key is known after one fetch, and the old one stays as long as it is published', async () => {
      const [old, other] = [h.token('es1'), h.token('es1')];
      await h.takes(old);
      h.server.keySet.publish([publicJwk('es1'), publicJwk('es2-standby')]);
      await h.takes(h.token('es2-standby'));
      expect(h.fetches()).toBe(2);
      await h.takes(old);
      await h.takes(other);
      await h.takes(h.token('es2-standby'));
      expect(h.fetches()).toBe(2);
    });

    it('no longer hold a withdrawn key after 10 minutes, also for a token that was good before', async () => {
      const [seen, unseen] = [h.token('es1'), h.token('es1')];
      await h.takes(seen);
      h.server.keySet.publish([publicJwk('es2-standby')]);
      h.clock.advance(10 * MINUTE);
      await h.refuses(seen);
      await h.refuses(unseen);
      await h.takes(h.token('es2-standby'));
      // The old key is an unknown one now, and may ask once.
      expect(h.fetches()).toBe(3);
    });

    it('keep tokens that were good before good over a fetch', async () => {
      const seen = h.token('es1');
      for (let time = 0; time < 5; time += 1) {
        await h.takes(seen);
        h.clock.advance(11 * MINUTE);
      }
      expect(h.fetches()).toBe(5);
    });

    it('are not asked again by a flood of unknown keys: once in 30 seconds', async () => {
      await h.takes(h.token('es1'));
      const flood = async () => {
        await Promise.all(Array.from({ length: 300 }, () => h.refuses(h.stranger())));
        for (let time = 0; time < 50; time += 1) await h.refuses(h.stranger());
      };
      await flood();
      expect(h.fetches()).toBe(2);
      h.clock.advance(29 * SECOND);
      await flood();
      expect(h.fetches()).toBe(2);
      h.clock.advance(SECOND);
      await flood();
      expect(h.fetches()).toBe(3);
      await h.takes(h.token('es1'));
    });

    it('are fetched once when the first token of all has an unknown key', async () => {
      await h.refuses(h.stranger());
      expect(h.fetches()).toBe(1);
    });

    it.each([
      ['a kid that is no text', 'es1', { kid: 7 }],
      ['an endless kid', 'es1', { kid: 'k'.repeat(257) }],
      ['another algorithm', 'hs', {}],
      ['no algorithm', 'none', { alg: 'none' }],
      ['an unknown extension', 'es1', { crit: ['x'], x: 1 }],
    ])('are not asked for a token with %s', async (_what, sign, header) => {
      await h.refuses(h.token(sign, header));
      expect(h.fetches()).toBe(0);
    });

    it('are never looked for where a token says', async () => {
      const places = { jku: `${h.server.url}/evil`, x5u: `${h.server.url}/evil`, jwk: publicJwk('es1') };
      await h.takes(h.token('es1', places));
      await h.refuses(h.token('attacker-es', { ...places, kid: 'es-1' }));
      expect(h.server.others).toEqual([]);
    });
  });

  describe('while the issuer does not answer', () => {
    it('go on to be known for 24 hours, and unknown ones are refused', async () => {
      const seen = h.token('es1');
      await h.takes(seen);
      h.server.keySet.answer('down');
      for (const time of [6 * MINUTE, 5 * MINUTE, HOUR, 22 * HOUR]) {
        h.clock.advance(time);
        await h.takes(seen);
        await h.takes(h.token('rs1'));
        await h.refuses(h.stranger());
        await h.identity.ping();
      }
      h.clock.advance(HOUR);
      await h.cannotTell(seen);
      await h.cannotTell(h.token('es1'));
      await expect(h.identity.ping()).rejects.toMatchObject(UNAVAILABLE);
      expect(
        h.said.filter((text) => text.includes('The known signing keys are used until 2026-01-16T12:00')),
      ).toHaveLength(1);
    });

    it('make nobody wait once that is known', async () => {
      await h.reopen({ patienceMs: 1_000 });
      await h.takes(h.token('es1'));
      h.clock.advance(11 * MINUTE);
      h.server.keySet.answer('hold');
      await h.takes(h.token('es1'));
      const asked = h.fetches();
      const started = performance.now();
      for (let time = 0; time < 100; time += 1) await h.takes(h.token('es1'));
      expect(performance.now() - started).toBeLessThan(4_000);
      expect(h.fetches()).toBeLessThanOrEqual(asked + 1);
    });

    it('are known again when it is back', async () => {
      await h.takes(h.token('es1'));
      h.server.keySet.answer('down');
      h.clock.advance(11 * MINUTE);
      await h.takes(h.token('es1'));
      h.server.keySet.publish([publicJwk('es2-standby')]);
      h.clock.advance(2 * MINUTE);
      await h.refuses(h.token('es1'));
      await h.takes(h.token('es2-standby'));
      expect(h.said).toContain('The signing keys can be fetched again.');
    });

    it('cannot be told from nothing: 503, one fetch at a time, one in a second, and good at once when it is back', async () => {
      h.server.keySet.answer('down');
      await Promise.all(Array.from({ length: 100 }, () => h.cannotTell(h.token('es1'))));
      expect(h.fetches()).toBe(1);
      await expect(h.identity.ping()).rejects.toMatchObject(UNAVAILABLE);
      await h.cannotTell(h.stranger());
      expect(h.fetches()).toBe(1);
      h.server.keySet.publish([publicJwk('es1')]);
      h.clock.advance(SECOND);
      await h.takes(h.token('es1'));
      await h.identity.ping();
      expect(h.fetches()).toBe(2);
    });

    it('cannot be told when nobody listens there', async () => {
      const taken = createServer().listen(0, '127.0.0.1');
      await once(taken, 'listening');
      const { port } = taken.address() as { port: number };
      taken.close();
      await once(taken, 'close');
      await h.reopen({ url: `http://127.0.0.1:${port}` });
      await h.cannotTell(h.token('es1'));
    });

    it.each<[string, AuthAnswer]>([
      ['nothing', 'hold'],
      ['a broken connection', 'down'],
      ['a drip', 'slow'],
      ['an error', { status: 500, body: { keys: [] } }],
      ['a page', { body: '<html></html>', headers: { 'content-type': 'text/html' } }],
      ['a redirect', { status: 302, headers: { location: '/elsewhere' }, body: { keys: [] } }],
      ['null', { body: 'null' }],
      ['a list', { body: [] }],
      ['no keys', { body: { key: [] } }],
      ['keys that are no list', { body: { keys: {} } }],
      ['more than 50 keys', { body: { keys: Array.from({ length: 51 }, () => publicJwk('es1')) } }],
      ['more than 64 KiB', { body: { keys: [publicJwk('es1')], more: 'x'.repeat(65_536) } }],
    ])('cannot be told when it answers %s, within its patience', async (_what, answer) => {
      await h.reopen({ patienceMs: 1_000 });
      h.server.keySet.answer(answer);
      const started = performance.now();
      await h.cannotTell(h.token('es1'));
      expect(performance.now() - started).toBeLessThan(4_000);
      expect(h.server.others).toEqual([]);
    });

    it('are asked for no longer when the identity closes', async () => {
      h.server.keySet.answer('hold');
      await h.reopen({ patienceMs: 60_000 });
      const waiting = h.cannotTell(h.token('es1'));
      await eventually('the fetch', () => h.fetches() === 1);
      await h.identity.close();
      await waiting;
    });

    it('are not younger when the clock is set back', async () => {
      await h.takes(h.token('es1'));
      h.clock.advance(-HOUR);
      h.server.keySet.publish([publicJwk('es2-standby')]);
      await h.refuses(h.token('es1'));
      await h.takes(h.token('es2-standby'));
    });
  });

  it('are said to be missing without a word of the token or the anon key', async () => {
    h.server.keySet.answer({ status: 500, body: 'no' });
    const one = h.token('es1');
    const error: Error = await h.identity.verify(one).then(
      () => new Error('taken'),
      (reason: Error) => reason,
    );
    const everything = [error.message, error.stack, JSON.stringify(error.cause), ...h.said].join('\n');
    expect(everything).toContain('HTTP 500');
    for (const secret of [
      'the-anon-key',
      one,
      one.split('.')[2] ?? '',
      createHash('sha256').update(one).digest('hex'),
    ]) {
      expect(everything).not.toContain(secret);
    }
  });
});
