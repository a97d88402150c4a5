import 'reflect-metadata';
import process from 'node:process';
import { runRole } from './boot/run-role.js';

await runRole(process.argv.slice(2));
