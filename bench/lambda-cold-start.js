import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

/**
 * What a cold start of the autoscaling Lambda function costs: each round a new Node process loads `dist/lambda.js`, and asks
 * a service that refuses at once for one decision, which makes the clients sign and send. Lambda's own part is not in it.
 */
const { console } = globalThis;
const ROUNDS = 15;
const BUNDLE = join(import.meta.dirname, '../dist/lambda.js');
const PROGRAM = `
const began = performance.now();
const { handler } = await import(${JSON.stringify(BUNDLE)});
const loaded = performance.now();
await handler({ source: 'aws.events' }).catch(() => undefined);
process.stderr.write(JSON.stringify({ load: loaded - began, first: performance.now() - loaded, rss: process.memoryUsage().rss / 1e6 }));
`;
const { PATH } = process.env;
const env = {
  PATH,
  AWS_REGION: 'us-east-2',
  AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
  AWS_ACCESS_KEY_ID: 'k',
  AWS_SECRET_ACCESS_KEY: 's',
  ECS_CLUSTER: 'euglena-cluster',
  ECS_SERVICE: 'euglena-agent',
  NODE_NO_WARNINGS: '1',
};

const rounds = Array.from({ length: ROUNDS }, () => {
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', PROGRAM], {
    env,
    encoding: 'utf8',
  });
  return JSON.parse(stderr.slice(stderr.indexOf('{"load"')));
});
const median = (name) => rounds.map((round) => round[name]).sort((a, b) => a - b)[ROUNDS >> 1];
console.log(`bundle: ${(statSync(BUNDLE).size / 1e6).toFixed(2)} MB`);
console.log(`loading: ${median('load').toFixed(0)} ms (median of ${ROUNDS})`);
console.log(`first decision, refused by the network three times over: ${median('first').toFixed(0)} ms`);
console.log(`memory: ${median('rss').toFixed(0)} MB resident`);
