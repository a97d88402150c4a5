import { type Command, parse } from './command.js';

export const up: Command = {
  usage: '[--role all|gateway|agent|metrics|autoscaler]',
  summary: 'Run a role until it is told to stop; all of them in one process if none is named',
  async run(args) {
    parse(args, { role: { type: 'string' } });
    // Loaded here: the other commands start faster without the server.
    const { runRole } = await import('../boot/run-role.js');
    await runRole(args);
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  },
};
