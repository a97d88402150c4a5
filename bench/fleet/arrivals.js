/** When tasks come, in seconds from the start, and how long each takes: seeded, so that every policy gets the same ones. */

export const DAY = 86_400;
const HOUR = 3_600;

/** @typedef {{ at: number, seconds: number }} Task */

/** How long tasks take, in seconds, with this mean: log-normal, most are shorter and a few much longer. */
export function serviceTimes(random, mean, sigma = 0.8) {
  const mu = Math.log(mean) - sigma ** 2 / 2;
  return () => Math.exp(mu + sigma * normal(random));
}

function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

/** Arrivals whose rate changes with time, tasks per second, by thinning those of the highest rate. */
function poisson(random, seconds, highest, rateAt) {
  const times = [];
  for (let at = gap(random, highest); at < seconds; at += gap(random, highest)) {
    if (random.next() * highest <= rateAt(at)) times.push(at);
  }
  return times;
}

function gap(random, rate) {
  return -Math.log(1 - random.next()) / rate;
}

/** So many a day, evenly spread. */
export function steady(random, perDay) {
  return poisson(random, DAY, perDay / DAY, () => perDay / DAY);
}

/** A quiet night and a busy afternoon, so many a day in all. */
export function dailyWave(random, perDay) {
  const mean = perDay / DAY;
  return poisson(random, DAY, 2 * mean, (at) => mean * (1 - Math.cos((2 * Math.PI * at) / DAY)));
}

/** Every two hours `size` tasks within half a minute, over a steady ground. */
export function bursts(random, perDay, size) {
  const times = steady(random, perDay);
  for (let start = HOUR; start < DAY; start += 2 * HOUR) {
    const shift = random.next() * HOUR;
    for (let one = 0; one < size; one += 1) times.push(start + shift + random.next() * 30);
  }
  return times.sort((a, b) => a - b);
}

/** One user sends `size` tasks within a minute at ten in the morning, over a steady ground. */
export function flood(random, perDay, size) {
  const times = steady(random, perDay);
  for (let one = 0; one < size; one += 1) times.push(10 * HOUR + random.next() * 60);
  return times.sort((a, b) => a - b);
}

/** Recorded arrivals: one task a line, `<seconds from the start>[,<seconds it took>]`. */
export function recorded(text, seconds) {
  const tasks = text
    .split('\n')
    .filter((line) => /^\s*\d/.test(line))
    .map((line) => {
      const [at, took] = line.split(',').map(Number);
      if (!Number.isFinite(at) || (took !== undefined && !(took > 0))) throw new Error(`not a task: ${line}`);
      return { at, seconds: took ?? seconds() };
    });
  return tasks.sort((a, b) => a.at - b.at);
}

/** The scenarios of the report. `zoom`: the hours that are drawn. */
export const SCENARIOS = [
  { name: 'steady, 10 a day', mean: 60, times: (random) => steady(random, 10) },
  { name: 'steady, 1,000 a day', mean: 60, times: (random) => steady(random, 1_000) },
  { name: 'steady, 10,000 a day', mean: 60, times: (random) => steady(random, 10_000) },
  { name: 'daily wave, 6,000 a day', mean: 60, times: (random) => dailyWave(random, 6_000), zoom: [6, 18] },
  { name: 'bursts of 30', mean: 60, times: (random) => bursts(random, 500, 30), zoom: [0, 6] },
  { name: 'bursts of 11, tasks of 5 minutes', mean: 300, times: (random) => bursts(random, 100, 11) },
  { name: 'flood of 500 by one user', mean: 60, times: (random) => flood(random, 1_000, 500), zoom: [9, 12] },
  { name: 'steady, 1,000,000 a day, short', mean: 0.5, times: (random) => steady(random, 1_000_000) },
  { name: 'steady, 100,000 a day: too many', mean: 60, times: (random) => steady(random, 100_000) },
];

/** @returns {Task[]} */
export function tasksOf({ mean, times }, random) {
  const seconds = serviceTimes(random, mean);
  return times(random).map((at) => ({ at, seconds: seconds() }));
}
