import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { temporaryDataDir } from '../../../test/support/data-dir.js';
import { except } from '../../../test/support/gateway-engines.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { EuglenaError } from '../../domain/errors.js';
import { EmbeddedDatabase } from '../embedded/embedded-database.js';
import { RestingAgentMemory } from './resting-agent-memory.js';
import { SqliteAgentMemory } from './sqlite-agent-memory.js';

const PASSAGE = { sourceId: 's1', text: 'Euglena swims with a flagellum.' };

describe('a memory that is left alone when it fails', () => {
  let dataDir: ReturnType<typeof temporaryDataDir>;
  let database: EmbeddedDatabase;
  let clock: ManualClock;
  let memory: RestingAgentMemory;
  let away: boolean;
  /** Calls that got through to the engine. */
  let asked: number;

  beforeEach(() => {
    Logger.overrideLogger(false);
    dataDir = temporaryDataDir();
    database = EmbeddedDatabase.open(dataDir.path);
    clock = new ManualClock();
    away = false;
    asked = 0;
    const real = new SqliteAgentMemory(database);
    const ask = async <T>(work: () => Promise<T>): Promise<T> => {
      asked += 1;
      if (away) throw new EuglenaError('engine_unavailable', 'away');
      return work();
    };
    const engine = except(real, {
      remember: (...what) => ask(() => real.remember(...what)),
      recall: (...what) => ask(() => real.recall(...what)),
    });
    memory = new RestingAgentMemory(engine, clock);
  });
  afterEach(async () => {
    await memory.close();
    database.close();
    dataDir.remove();
  });

  const recall = () => memory.recall('task', 'flagellum', 5);
  const fail = async (times: number) => {
    away = true;
    for (let time = 0; time < times; time += 1) await expect(recall()).rejects.toThrow('away');
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const rest = async () => {
    clock.advance(30_000);
    await settled();
  };

  it('passes everything on while the engine answers', async () => {
    await memory.remember('task', [PASSAGE]);
    expect(await recall()).toEqual([PASSAGE]);
    await memory.forget(['task']);
    expect(await recall()).toEqual([]);
    await memory.ping();
  });

  it('asks no more after five failures in a row, and refuses at once', async () => {
    await fail(5);
    away = false;
    await expect(recall()).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(memory.remember('task', [PASSAGE])).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(asked).toBe(5);
  });

  it('counts failures in a row only', async () => {
    await fail(4);
    away = false;
    await recall();
    await fail(4);
    away = false;
    expect(await recall()).toEqual([]);
  });

  it('lets one call try after 30 seconds, and all when that one succeeds', async () => {
    await fail(5);
    away = false;
    clock.advance(29_999);
    await settled();
    await expect(recall()).rejects.toThrow('left alone');
    clock.advance(1);
    await settled();
    const trial = memory.remember('task', [PASSAGE]);
    await expect(recall()).rejects.toThrow('left alone');
    await trial;
    expect(await recall()).toEqual([PASSAGE]);
    expect(asked).toBe(7);
  });

  it('rests again when the trial fails', async () => {
    await fail(5);
    await rest();
    await expect(recall()).rejects.toThrow('away');
    await expect(recall()).rejects.toThrow('left alone');
    expect(asked).toBe(6);
    await rest();
    away = false;
    expect(await recall()).toEqual([]);
  });
});
