import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { eventually } from './eventually.js';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';

let server: Server;
let proxy: TcpProxy;
const clients: Socket[] = [];

beforeEach(async () => {
  // Says everything twice.
  server = createServer((socket) => {
    socket.on('data', (data) => socket.write(`${data.toString()}${data.toString()}`));
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await startTcpProxy(`redis://user:word@127.0.0.1:${(server.address() as AddressInfo).port}/3`);
});
afterEach(async () => {
  clients.splice(0).forEach((client) => client.destroy());
  await proxy.close();
  server.close();
});

function open() {
  const client = connect(Number(new URL(proxy.url).port), '127.0.0.1');
  clients.push(client);
  const heard = { text: '', error: '' };
  client.setEncoding('utf8').on('data', (text: string) => (heard.text += text));
  client.on('error', (error: NodeJS.ErrnoException) => (heard.error = error.code ?? ''));
  return { client, heard };
}

it('keeps the scheme, the credentials and the path of the URL', () => {
  expect(proxy.url).toMatch(/^redis:\/\/user:word@127\.0\.0\.1:\d+\/3$/);
});

it('passes data on, and resets connections with cut(); the next one works', async () => {
  const first = open();
  first.client.write('a');
  await eventually('the answer', () => first.heard.text === 'aa');
  proxy.cut();
  await eventually('the reset', () => first.heard.error === 'ECONNRESET');
  const second = open();
  second.client.write('b');
  await eventually('the answer', () => second.heard.text === 'bb');
});

it('holds everything back while silent, on old and new connections, and brings it with heal()', async () => {
  const old = open();
  old.client.write('a');
  await eventually('the answer', () => old.heard.text === 'aa');
  proxy.silence();
  const fresh = open();
  await once(fresh.client, 'connect');
  old.client.write('b');
  fresh.client.end('c');
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect([old.heard, fresh.heard]).toEqual([
    { text: 'aa', error: '' },
    { text: '', error: '' },
  ]);
  proxy.heal();
  await eventually('both answers', () => old.heard.text === 'aabb' && fresh.heard.text === 'cc');
});

it('refuses connections until heal()', async () => {
  const old = open();
  await once(old.client, 'connect');
  proxy.refuse();
  await eventually('the reset', () => old.heard.error === 'ECONNRESET');
  const refused = open();
  await eventually('the refusal', () => refused.heard.error === 'ECONNREFUSED');
  proxy.heal();
  const { client, heard } = open();
  client.write('d');
  await eventually('the answer', () => heard.text === 'dd');
});

it('delays and throttles what the server says', async () => {
  const { client, heard } = open();
  proxy.delay(200);
  let start = performance.now();
  client.write('a');
  await eventually('the answer', () => heard.text === 'aa');
  expect(performance.now() - start).toBeGreaterThanOrEqual(195);
  proxy.heal();
  proxy.throttle(100);
  start = performance.now();
  client.write('b'.repeat(10));
  await eventually('the answer', () => heard.text.length === 22);
  expect(performance.now() - start).toBeGreaterThanOrEqual(195);
});

it('closes although the end of one side is still on its way to the other', async () => {
  const { client, heard } = open();
  client.write('a');
  await eventually('the answer', () => heard.text === 'aa');
  proxy.delay(60_000);
  client.end('b');
  await once(client, 'finish');
  const connections = promisify(server.getConnections.bind(server));
  await eventually('the server has closed its side', async () => (await connections()) === 0);
  await proxy.close();
});
