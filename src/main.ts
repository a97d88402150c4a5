import process from 'node:process';
import { setFlagsFromString } from 'node:v8';

// Loading a thousand modules would otherwise grow V8's young generation for good: 20 MB that an idle role never uses.
// From then on it grows with the load, since a small one is collected too often: a quarter of the time of a busy gateway.
setFlagsFromString('--semi-space-growth-factor=1');
await import('reflect-metadata');
const { runRole } = await import('./boot/run-role.js');

await runRole(process.argv.slice(2));
setFlagsFromString('--semi-space-growth-factor=2');
