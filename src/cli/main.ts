#!/usr/bin/env node
import { loadEnvironment } from '../config/environment.js';
import { runProgram } from './program.js';

// Whoever reads the output may stop reading (`| head`); that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const { stdout, stderr } = process;
// Not process.exit(): what is still being written gets out first.
process.exitCode = await runProgram(process.argv.slice(2), { stdout, stderr, env: loadEnvironment([]) });
