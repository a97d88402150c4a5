/** The setting with which a role's process runs `code` before anything else. */
export function atStart(code: string): { NODE_OPTIONS: string } {
  return { NODE_OPTIONS: `--import=data:text/javascript;base64,${Buffer.from(code).toString('base64')}` };
}

/** The setting with which a role's process runs `code` when it gets SIGUSR2: what nobody could make it do from outside. */
export function onSigusr2(code: string): { NODE_OPTIONS: string } {
  return atStart(`process.on('SIGUSR2', () => { ${code} });`);
}
