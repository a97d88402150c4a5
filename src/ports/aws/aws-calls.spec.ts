import { expect, it } from '@jest/globals';
import { AwsCalls } from './aws-calls.js';

it('gives up a call that does nothing at all, as a search for credentials may, and tells it to end', async () => {
  const calls = new AwsCalls('ECS', 10);
  let signal: AbortSignal | undefined;
  const call = calls.call((given) => {
    signal = given;
    return new Promise<never>(() => undefined);
  });
  await expect(call).rejects.toMatchObject({
    code: 'engine_unavailable',
    message: 'ECS: it does not answer.',
  });
  expect(signal?.aborted).toBe(true);
  await expect(calls.ping()).rejects.toThrow('ECS: it does not answer.');
});
