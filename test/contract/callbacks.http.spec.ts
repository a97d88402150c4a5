import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { Webhook } from 'standardwebhooks';
import { systemClock } from '../../src/config/system-clock.js';
import { HttpCallbacks } from '../../src/ports/callback/http-callbacks.js';
import { type PageServer, PUBLIC_ADDRESS, startPageServer, TLS_NAME } from '../support/page-server.js';

const master = new TextEncoder().encode('a master secret of thirty-two characters');
const message = {
  id: 't-1.4',
  url: `https://${TLS_NAME}/hook`,
  owner: 'alice',
  body: '{"type":"task.completed"}',
};

interface SsrfCase {
  readonly id: string;
  readonly url: string;
  readonly expect: 'refuse' | 'allow';
  readonly stage: string;
}

describe('callbacks over HTTPS', () => {
  let server: PageServer;
  let callbacks: HttpCallbacks;
  let received: { headers: Record<string, string>; body: string }[];
  const open = (options = {}) =>
    new HttpCallbacks({
      master,
      userAgent: 'Euglena/test',
      clock: systemClock,
      resolve: async () => [PUBLIC_ADDRESS],
      dial: server.dial,
      ...options,
    });
  beforeAll(async () => {
    server = await startPageServer();
    server.serve('/hook', (request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        received.push({ headers: request.headers as Record<string, string>, body });
        response.writeHead(204).end();
      });
    });
    for (const status of [301, 400, 410, 500]) {
      server.serve(`/${status}`, (_, response) =>
        response.writeHead(status, { location: `https://${TLS_NAME}/hook` }).end(),
      );
    }
    server.serve('/silent', () => undefined);
    server.serve('/endless', (_, response) => response.writeHead(200).write('more '.repeat(100_000)));
  });
  afterAll(() => server.close());
  beforeEach(() => {
    received = [];
    callbacks = open();
  });
  afterEach(() => callbacks.close());
  const send = (path: string, from = callbacks) =>
    from.send({ ...message, url: `https://${TLS_NAME}${path}` });

  it("are known to the receiver by its user's secret, and to nobody by another's", async () => {
    expect(await callbacks.send(message)).toBeNull();
    const { headers, body } = received[0] ?? { headers: {}, body: '' };
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'webhook-id': 't-1.4' });
    expect(new Webhook(callbacks.secretOf('alice') ?? '').verify(body, headers)).toEqual({
      type: 'task.completed',
    });
    expect(() => new Webhook(callbacks.secretOf('bob') ?? '').verify(body, headers)).toThrow();
    expect(() => new Webhook(callbacks.secretOf('alice') ?? '').verify(`${body} `, headers)).toThrow();
  });

  it('give each user a secret of their own, the same after a restart', async () => {
    const again = open();
    expect(again.secretOf('alice')).toBe(callbacks.secretOf('alice'));
    expect(callbacks.secretOf('bob')).not.toBe(callbacks.secretOf('alice'));
    const other = open({ master: new TextEncoder().encode('another master secret of 32 characters') });
    expect(other.secretOf('alice')).not.toBe(callbacks.secretOf('alice'));
    await Promise.all([again.close(), other.close()]);
  });

  it.each([
    ['/500', 'The receiver answered 500.', false],
    ['/400', 'The receiver answered 400.', false],
    ['/301', 'The receiver answered 301.', false],
    ['/410', 'The receiver answered 410.', true],
  ])('fail when the receiver answers as %s does', async (path, reason, final) => {
    expect(await send(path)).toEqual({ reason, final });
    expect(received).toEqual([]);
  });

  it('fail in time when the receiver is silent', async () => {
    const impatient = open({ timeoutMs: 300 });
    expect(await send('/silent', impatient)).toEqual({ reason: 'No answer within 0.3 s.', final: false });
    await impatient.close();
  });

  it('read nothing of an answer without end', async () => {
    expect(await send('/endless')).toBeNull();
    await server.lastClosed();
  });

  it('dial no name that leads to a private address', async () => {
    const led = open({ resolve: async () => ['10.0.0.7'] });
    const before = server.dialled.length;
    expect(await led.send(message)).toEqual({
      reason: 'The name leads to an address that is not public.',
      final: false,
    });
    expect(server.dialled).toHaveLength(before);
    await led.close();
  });

  it('refuse every address that the guard refuses by its text, and any that is not https', () => {
    const { cases } = JSON.parse(
      readFileSync(new URL('../corpora/ssrf-urls.json', import.meta.url), 'utf8'),
    ) as { cases: SsrfCase[] };
    const byText = cases.filter(
      ({ expect: wanted, stage }) => wanted === 'refuse' && !['dns', 'redirect'].includes(stage),
    );
    expect(byText.length).toBeGreaterThan(100);
    expect(byText.filter(({ url }) => callbacks.refusal(url) === null)).toEqual([]);
    expect(callbacks.refusal('http://client.example.com/')).toBe('must be an https address');
    expect(callbacks.refusal(`https://client.example.com/${'x'.repeat(2_048)}`)).toMatch(/2048 characters/);
    expect(callbacks.refusal(message.url)).toBeNull();
  });

  it('are off without a master secret', async () => {
    const off = open({ master: null });
    expect(off.secretOf('alice')).toBeNull();
    expect(off.refusal(message.url)).toMatch(/no CALLBACK_SECRET/);
    expect(await off.send(message)).toMatchObject({ final: true });
    expect(received).toEqual([]);
    await off.close();
  });
});
