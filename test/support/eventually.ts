import { setTimeout as delay } from 'node:timers/promises';

/**
 * Asks until `probe` answers something truthy, and answers that. For outcomes of other processes and real engines, whose
 * moment a test cannot control; fails with the last answer after `timeoutMs`.
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T> | T,
  timeoutMs = 15_000,
): Promise<NonNullable<T>> {
  const end = performance.now() + timeoutMs;
  let last: unknown;
  while (performance.now() < end) {
    const answer = await probe();
    if (answer) return answer;
    last = answer;
    await delay(20);
  }
  throw new Error(`not within ${timeoutMs} ms: ${what} (last answer: ${JSON.stringify(last)})`);
}
