import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { cancellation, submission } from '../../src/domain/task-change.js';
import { ReservationReconciler, SettlementReconciler } from '../../src/gateway/reconcilers.js';
import { type SupabaseQuota } from '../../src/ports/quota/supabase-quota.js';
import { openGatewayEngines } from '../support/gateway-engines.js';
import { ManualClock } from '../support/manual-clock.js';
import { failure, type PostgrestServer, type Treatment } from '../support/servers/postgrest-server.js';
import { everyStepOf, type SupabaseStage } from './quota.supabase.harness.js';

const ALICE = '11111111-1111-4111-8111-111111111111';

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** From now on the project takes calls and never answers; resolves at the first. */
function hang(server: PostgrestServer): Promise<void> {
  const { opened, open } = gate();
  server.treat(() => {
    open();
    return new Promise(() => undefined);
  });
  return opened;
}

const answer = (status: number, body: string): Treatment => {
  return () => Promise.resolve({ status, body });
};

/** What the adapter says and what becomes of the ticks when the project fails. `pass` turns the project's clock. */
export function supabaseFaults(stageOf: () => SupabaseStage, pass: (ms: number) => void): void {
  const connect = (clock = new ManualClock()) => stageOf().connect({ clock });

  describe('a Supabase project that does not serve', () => {
    it.each<[string, Treatment, RegExp]>([
      ['ends the connection', async () => 'drop', /cannot be reached \(UND_ERR_SOCKET\)/],
      ['has no database', async () => failure(503, 'PGRST001', 'vendor'), /answered 503 to \w+ \(PGRST001\)/],
      [
        'times out at its pool',
        async () => failure(504, 'PGRST003', 'vendor'),
        /answered 504 to \w+ \(PGRST003\)/,
      ],
      ['has no migration', async () => failure(404, 'PGRST202', 'vendor'), /apply supabase\/migrations/],
      ['is no project', answer(404, '<html>vendor</html>'), /apply supabase\/migrations/],
      ['moved', answer(301, 'vendor'), /answered 301 to \w+/],
      ['speaks HTML', answer(200, '<html>vendor</html>'), /answers \w+ otherwise/],
      [
        'says null where it should not',
        answer(200, '{"used":null,"resets_at":"vendor"}'),
        /answers \w+ otherwise/,
      ],
      ['says a number that is none', answer(200, '[{"used":-1}]'), /answers \w+ otherwise/],
      ['never ends its answer', answer(200, ' '.repeat(2_000_000)), /cannot be reached \(ResponseTooLarge\)/],
    ])('because it %s is unavailable, in words of our own', async (_what, treatment, words) => {
      const quota = connect();
      stageOf().server.treat(treatment);
      for (const step of everyStepOf(quota)) {
        const error: unknown = await step().catch((reason: unknown) => reason);
        expect(error).toMatchObject({ code: 'engine_unavailable', message: expect.stringMatching(words) });
        expect(inspect(error, { depth: null, showHidden: true })).not.toMatch(/vendor|service-role-key/);
      }
    });

    it('is unavailable while nothing listens, and serves again when it is back', async () => {
      const quota = connect();
      await quota.reserve(ALICE, 'task-1', 10);
      await stageOf().server.stop();
      for (const step of everyStepOf(quota)) {
        await expect(step()).rejects.toMatchObject({ message: 'Supabase cannot be reached (ECONNREFUSED).' });
      }
      await stageOf().server.start();
      expect(await quota.usage(ALICE)).toMatchObject({ used: 10 });
    });

    it('is given three seconds for each call', async () => {
      const clock = new ManualClock();
      const quota = connect(clock);
      for (const step of everyStepOf(quota)) {
        const arrived = hang(stageOf().server);
        const outcome = step().catch((reason: unknown) => reason);
        await arrived;
        clock.advance(2_999);
        expect(await Promise.race([outcome, Promise.resolve('still waiting')])).toBe('still waiting');
        clock.advance(1);
        const message = 'Supabase gave no answer within 3 s.';
        expect(await outcome).toMatchObject({ code: 'engine_unavailable', message });
      }
    });

    it('holds up nobody who closes', async () => {
      const quota = connect();
      const arrived = hang(stageOf().server);
      const outcome = quota.usage(ALICE).catch((reason: unknown) => reason);
      await arrived;
      await quota.close();
      expect(await outcome).toMatchObject({ code: 'engine_unavailable' });
    });
  });

  describe('a call whose answer is lost', () => {
    /** Reserves 50 ticks for a task that is never stored, has them found after a minute, and given back. */
    async function refunded(quota: SupabaseQuota) {
      const engines = openGatewayEngines();
      expect(await quota.usage(ALICE)).toMatchObject({ used: 50 });
      const reconciler = new ReservationReconciler(engines.store, quota);
      expect(await reconciler.tick()).toBe(0);
      pass(60_000);
      expect(await reconciler.tick()).toBe(1);
      expect(await quota.usage(ALICE)).toMatchObject({ used: 0 });
      await engines.close();
    }

    it('after its commit: the ticks are found and given back', async () => {
      const quota = connect();
      stageOf().server.treat(async (call) => {
        await call.run();
        return 'drop';
      });
      await expect(quota.reserve(ALICE, 'lost', 50)).rejects.toMatchObject({ code: 'engine_unavailable' });
      stageOf().server.treat(null);
      await refunded(quota);
    });

    it('and that commits after its caller gave up: the ticks are found and given back', async () => {
      const clock = new ManualClock();
      const quota = connect(clock);
      const arrived = gate();
      const late = gate();
      const committed = gate();
      stageOf().server.treat(async (call) => {
        arrived.open();
        await late.opened;
        await call.run();
        committed.open();
        return 'drop';
      });
      const reserving = quota.reserve(ALICE, 'lost', 50).catch((reason: unknown) => reason);
      await arrived.opened;
      clock.advance(3_000);
      expect(await reserving).toMatchObject({ message: 'Supabase gave no answer within 3 s.' });
      expect(await stageOf().database.transaction((query) => query('select from tick_ledger'))).toEqual([]);
      late.open();
      await committed.opened;
      stageOf().server.treat(null);
      await refunded(quota);
    });

    it('is charged once when it is made again', async () => {
      const quota = connect();
      stageOf().server.treat(async (call) => {
        await call.run();
        return 'drop';
      });
      await expect(quota.reserve(ALICE, 'task-1', 50)).rejects.toMatchObject({ code: 'engine_unavailable' });
      stageOf().server.treat(null);
      expect(await quota.reserve(ALICE, 'task-1', 50)).toMatchObject({
        kind: 'reserved',
        usage: { used: 50 },
      });
    });

    it('of a settlement is told again until it is known to have arrived', async () => {
      const engines = openGatewayEngines();
      const quota = connect();
      await quota.reserve(ALICE, 'done', 50);
      const input = { correlationId: 'done', owner: ALICE, mandate: 'Find X', maxTicks: 50 };
      const { record } = submission(input, engines.clock.now(), true);
      await engines.store.commit(submission(input, engines.clock.now(), true));
      await engines.store.commit(cancellation(record, engines.clock.now()));
      const reconciler = new SettlementReconciler(engines.store, quota);
      for (const treatment of [answer(503, ''), answer(200, 'x'), async () => 'drop' as const]) {
        stageOf().server.treat(treatment);
        await expect(reconciler.tick()).rejects.toMatchObject({ code: 'engine_unavailable' });
        engines.clock.advance(30_000);
      }
      stageOf().server.treat(null);
      expect(await quota.usage(ALICE)).toMatchObject({ used: 50 });
      expect(await reconciler.tick()).toBe(1);
      expect(await quota.usage(ALICE)).toMatchObject({ used: 0 });
      engines.clock.advance(30_000);
      expect(await reconciler.tick()).toBe(0);
      await engines.close();
    });
  });
}
