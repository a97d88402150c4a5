import { type Command, parse } from './command.js';

export const up: Command = {
  usage: '[--role all|gateway|agent|metrics|autoscaler] [--autoscale]',
  summary:
    'Run a role until it is told to stop; all of them if none is named, with --autoscale as many agents as needed',
  async run(args) {
    parse(args, { role: { type: 'string' }, autoscale: { type: 'boolean' } });
    // Loaded here: the other commands start faster without the server.
    const { runRole } = await import('../boot/run-role.js');
    await runRole(args);
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  },
};
