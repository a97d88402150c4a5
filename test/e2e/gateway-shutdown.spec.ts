import { expect, it } from '@jest/globals';
import { startGateway } from '../support/gateway-app.js';

const USER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';

it('ends event streams at shutdown instead of waiting for them', async () => {
  const gateway = await startGateway();
  const authorization = `Bearer ${await gateway.token(USER)}`;
  const submitted = await fetch(`${gateway.origin}/tasks`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ mandate: 'Find X' }),
  });
  const { correlation_id: id } = (await submitted.json()) as { correlation_id: string };
  const live = await fetch(`${gateway.origin}/tasks/${id}/events`, { headers: { authorization } });
  const started = performance.now();
  const [text] = await Promise.all([live.text(), gateway.close()]);
  expect(text).toContain('event: submitted');
  expect(performance.now() - started).toBeLessThan(2_000);
});
