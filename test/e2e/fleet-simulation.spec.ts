import { describe, expect, it } from '@jest/globals';

/** What docs/scaling.md says of the policies, held by the simulator of `npm run bench:fleet`: production's code decides there. */

interface Task {
  readonly at: number;
  readonly seconds: number;
}
interface Run {
  readonly busyAskedToStop: number;
  readonly neverStarted: number;
  readonly workerHours: number;
  startedWithin(seconds: number): number;
}
interface Policy {
  readonly name: string;
}
interface Scenario {
  readonly name: string;
}
interface Simulator {
  readonly SCENARIOS: readonly Scenario[];
  readonly POLICIES: readonly Policy[];
  readonly tasksOf: (scenario: Scenario, random: unknown) => readonly Task[];
  readonly seeded: (seed: number) => unknown;
  readonly simulate: (tasks: readonly Task[], policy: Policy) => Run;
}

const load = (file: string) =>
  import(new URL(`../../bench/${file}`, import.meta.url).href) as Promise<Simulator>;
const [{ SCENARIOS, tasksOf }, { POLICIES }, { simulate }, { seeded }] = await Promise.all(
  ['fleet/arrivals.js', 'fleet/policies.js', 'fleet/simulate.js', 'random.js'].map(load) as [
    Promise<Simulator>,
    Promise<Simulator>,
    Promise<Simulator>,
    Promise<Simulator>,
  ],
);

const TARGET_SECONDS = 300;
const policy = (name: string) => {
  const found = POLICIES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no policy ${name}`);
  return found;
};
/** A million tasks take the simulator seconds, and say nothing more here. */
const scenarios = SCENARIOS.filter(({ name }) => !name.includes('1,000,000'));

describe.each([1, 2])('a day of agents, played with seed %i', (seed) => {
  it.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', (_, scenario) => {
    const tasks = tasksOf(scenario, seeded(seed));
    const byDefault = simulate(tasks, policy('backlog (default)'));
    const always = simulate(tasks, policy('always 11'));
    expect(byDefault.busyAskedToStop).toBe(0);
    expect(byDefault.workerHours).toBeLessThan(always.workerHours + 1);
    // What not even all the workers from the start would manage, the limits do not allow.
    if (always.startedWithin(TARGET_SECONDS) >= 0.95) {
      expect(byDefault.startedWithin(TARGET_SECONDS)).toBeGreaterThanOrEqual(0.95);
      expect(byDefault.neverStarted).toBe(0);
    }
  });
});

it('plays the same day again from the same seed, and another from another', () => {
  const [wave] = scenarios.filter(({ name }) => name.includes('wave'));
  const day = (seed: number) => {
    const run = simulate(tasksOf(wave ?? { name: '' }, seeded(seed)), policy('queue-depth'));
    return [run.workerHours, run.busyAskedToStop, run.startedWithin(TARGET_SECONDS)];
  };
  expect(day(7)).toEqual(day(7));
  expect(day(7)).not.toEqual(day(8));
});

it('shows what the plain formula does, which is why it is not the default', () => {
  const [wave] = scenarios.filter(({ name }) => name.includes('wave'));
  const plain = simulate(tasksOf(wave ?? { name: '' }, seeded(1)), policy('queue-depth'));
  expect(plain.busyAskedToStop).toBeGreaterThan(100);
});
