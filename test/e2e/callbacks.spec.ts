import { afterEach, describe, expect, it } from '@jest/globals';
import { type GatewayApp, startGateway } from '../support/gateway-app.js';

const ALICE = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const BOB = 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb';
const HOOK = 'https://client.example.com/euglena';

let gateway: GatewayApp;
afterEach(() => gateway.close());

async function call(path: string, init: RequestInit = {}, subject = ALICE) {
  const headers = {
    authorization: `Bearer ${await gateway.token(subject)}`,
    'content-type': 'application/json',
    ...init.headers,
  };
  const response = await fetch(`${gateway.origin}${path}`, { ...init, headers });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
const submit = (body: object, headers = {}) =>
  call('/tasks', { method: 'POST', headers, body: JSON.stringify({ mandate: 'Find X', ...body }) });

describe('a callback address', () => {
  it('is kept with the task, and shown to its owner', async () => {
    gateway = await startGateway();
    const { status, body } = await submit({ callback_url: HOOK });
    expect([status, body['callback']]).toEqual([
      202,
      { url: HOOK, state: 'waiting', attempts: 0, last_failure: null },
    ]);
    const { body: task } = await call(`/tasks/${String(body['correlation_id'])}`);
    expect(task['callback']).toEqual(body['callback']);
    expect((await submit({})).body['callback']).toBeNull();
  });

  it.each([
    ['a plain http address', 'http://client.example.com/'],
    ['an address of this network', 'https://10.0.0.7/hook'],
    ['the metadata service', 'https://169.254.169.254/latest'],
    ['a name of this host', 'https://localhost/hook'],
    ['another port', 'https://client.example.com:22/'],
    ['a password', 'https://user:secret@client.example.com/'],
    ['no address', 'nowhere'],
    ['a long one', `https://client.example.com/${'x'.repeat(2_048)}`],
    ['a number', 7],
    ['null', null],
    ['a list', [HOOK]],
  ])('is refused when it is %s, and nothing is left', async (_, url) => {
    gateway = await startGateway();
    for (const path of ['/tasks', '/tasks?dry_run=true']) {
      const body = JSON.stringify({ mandate: 'Find X', callback_url: url });
      const refused = await call(path, { method: 'POST', body });
      expect(refused).toMatchObject({
        status: 422,
        body: { code: 'invalid_field', errors: [{ field: 'callback_url' }] },
      });
      expect(JSON.stringify(refused.body)).not.toContain('secret');
    }
    expect((await call('/tasks')).body['tasks']).toEqual([]);
    expect((await call('/quota')).body['used']).toBe(0);
  });

  it('belongs to what an Idempotency-Key stands for', async () => {
    gateway = await startGateway();
    const key = { 'idempotency-key': 'order-17' };
    const first = await submit({ callback_url: HOOK }, key);
    const again = await submit({ callback_url: HOOK }, key);
    expect(again.body['correlation_id']).toBe(first.body['correlation_id']);
    expect(await submit({}, key)).toMatchObject({ status: 409, body: { code: 'idempotency_mismatch' } });
  });

  it('is refused where the operator gave no secret in production', async () => {
    gateway = await startGateway({
      env: { NODE_ENV: 'production', EUGLENA_ALLOW_EMBEDDED: 'identity,quota' },
    });
    expect((await submit({ callback_url: HOOK })).status).toBe(422);
    expect((await call('/callbacks/secret')).status).toBe(404);
    expect((await submit({})).status).toBe(202);
  });
});

it('the secret of callbacks is its user’s own', async () => {
  gateway = await startGateway();
  const { status, body } = await call('/callbacks/secret');
  expect([status, body['secret']]).toEqual([200, expect.stringMatching(/^whsec_[A-Za-z0-9+/=]{44}$/)]);
  expect((await call('/callbacks/secret', {}, BOB)).body['secret']).not.toBe(body['secret']);
  const anybody = await fetch(`${gateway.origin}/callbacks/secret`);
  expect(anybody.status).toBe(401);
});
