import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../test/support/manual-clock.js';
import { type Environment, readSettings } from '../config/settings.js';
import { waitForEngines } from './engine-wait.js';
import { type Problem } from './health.service.js';

const ENGINES = {
  REDIS_URL: 'redis://user:geheim@redis.example:6379/0',
  RABBITMQ_URL: 'amqp://user:geheim@rabbit.example:5672/vhost',
  CHROMA_URL: 'http://user:geheim@chroma.example:8000',
};
const redisDown = (component: string): Problem => ({
  component,
  reason: 'Redis at redis.example:6379 cannot be reached.',
  refused: false,
});

let clock: ManualClock;
let said: string[];
let asked: number;
/** What is wrong at present. */
let problems: readonly Problem[];
let stop: AbortController;
beforeEach(() => {
  clock = new ManualClock();
  said = [];
  asked = 0;
  problems = [];
  stop = new AbortController();
  Logger.overrideLogger({
    log: () => undefined,
    error: () => undefined,
    warn: (message: string) => said.push(message),
  });
});
afterEach(() => Logger.overrideLogger(false));

const wait = (env: Environment = { EUGLENA_ROLE: 'agent', ...ENGINES }) => {
  const health = {
    problems: () => {
      asked += 1;
      return Promise.resolve(problems);
    },
  };
  const outcome = { ended: false, error: undefined as unknown };
  void waitForEngines(health, readSettings(env), clock, stop.signal)
    .catch((error: unknown) => (outcome.error = error))
    .finally(() => (outcome.ended = true));
  return outcome;
};
const settle = () => new Promise((resolve) => setImmediate(resolve));
const pass = async (seconds: number) => {
  for (let second = 0; second < seconds; second += 1) {
    clock.advance(1_000);
    await settle();
  }
};

describe('the wait for engines at start', () => {
  it('is none, and asks nobody, for a role on embedded adapters', async () => {
    problems = [redisDown('task-store')];
    const outcome = wait({ EUGLENA_ROLE: 'agent' });
    await settle();
    expect([outcome, asked, said]).toEqual([{ ended: true, error: undefined }, 0, []]);
  });

  it('is over with the first answer when every engine serves', async () => {
    const outcome = wait();
    await settle();
    expect([outcome, asked, said]).toEqual([{ ended: true, error: undefined }, 1, []]);
  });

  it('does not mind a component that is no engine', async () => {
    problems = [{ component: 'web-search', reason: 'The folder cannot be read', refused: false }];
    const outcome = wait();
    await settle();
    expect(outcome).toEqual({ ended: true, error: undefined });
  });

  it('does not mind an engine that the role does not use', async () => {
    problems = [{ component: 'agent-memory', reason: 'ChromaDB at x cannot be reached.', refused: false }];
    const outcome = wait({ EUGLENA_ROLE: 'gateway', ...ENGINES });
    await settle();
    expect(outcome).toEqual({ ended: true, error: undefined });
  });

  it('asks each second, says every ten for whom it waits, and ends when that one serves', async () => {
    problems = [redisDown('task-store'), redisDown('presence')];
    const outcome = wait();
    await settle();
    await pass(25);
    expect([outcome.ended, asked]).toEqual([false, 26]);
    expect(said).toEqual([
      'Waiting for Redis at redis.example:6379 (0 of 60 s)…',
      'Waiting for Redis at redis.example:6379 (10 of 60 s)…',
      'Waiting for Redis at redis.example:6379 (20 of 60 s)…',
    ]);
    problems = [];
    await pass(1);
    expect(outcome).toEqual({ ended: true, error: undefined });
  });

  it('fails after its time, and names each engine with its place once', async () => {
    problems = [
      redisDown('task-store'),
      redisDown('presence'),
      { component: 'work-queue', reason: 'timeout of 3500ms exceeded', refused: false },
    ];
    const outcome = wait({ EUGLENA_ROLE: 'agent', ...ENGINES, ENGINE_WAIT_SECONDS: '5' });
    await settle();
    await pass(4);
    expect(outcome.ended).toBe(false);
    await pass(1);
    expect(outcome.error).toMatchObject({
      code: 'engine_unavailable',
      message:
        'Redis at redis.example:6379 cannot be reached. ' +
        'RabbitMQ at rabbit.example:5672: timeout of 3500ms exceeded. Waited 5 s (ENGINE_WAIT_SECONDS).',
    });
    expect(said[0]).toContain('Redis at redis.example:6379 and RabbitMQ at rabbit.example:5672');
    expect(said.join()).not.toContain('geheim');
  });

  it('fails at once when an engine refuses, whatever else is missing', async () => {
    const reason = 'Redis at redis.example:6379 takes no writes: its memory limit (maxmemory) is reached.';
    problems = [
      {
        component: 'work-queue',
        reason: 'RabbitMQ at rabbit.example:5672 cannot be reached.',
        refused: false,
      },
      redisDown('task-store'),
      { component: 'presence', reason, refused: true },
    ];
    const outcome = wait();
    await settle();
    expect(outcome).toMatchObject({ ended: true, error: { message: reason } });
  });

  it.each(['asks', 'sleeps'])('ends when the process is to stop while it %s', async (state) => {
    problems = [redisDown('task-store')];
    const outcome = wait();
    if (state === 'sleeps') await settle();
    stop.abort();
    await settle();
    expect(outcome).toEqual({ ended: true, error: undefined });
  });
});
