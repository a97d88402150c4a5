import { packageVersion } from '../ports/web-search/package-root.js';
import { ask } from './ask.js';
import { type Command, type Io, messageOf, UsageError } from './command.js';
import { plainText } from './plain-text.js';
import { extend } from './extend.js';
import { submit } from './submit.js';
import { token } from './token.js';
import { up } from './up.js';
import { verify } from './verify.js';
import { watch } from './watch.js';

const COMMANDS: Readonly<Record<string, Command>> = { up, ask, submit, watch, extend, verify, token };

function help(): string {
  const commands = Object.entries(COMMANDS).map(
    ([name, { usage, summary }]) => `  ${name} ${usage}\n      ${summary}\n`,
  );
  return [
    'Usage: euglena <command> [arguments]\n\n',
    ...commands,
    '\nAlso: --help, --version. Settings come from the environment and from .env;\n',
    'EUGLENA_TOKEN is the access token where --token is not given.\n',
  ].join('');
}

/** Runs a command line (without the program's name) and answers the exit code. Never rejects. */
export async function runProgram(argv: readonly string[], io: Io): Promise<number> {
  const [name = '', ...args] = argv;
  if (name === '--version') return print(io, `${packageVersion()}\n`);
  if (name === '--help' || name === '-h' || name === 'help') return print(io, help());
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const problem = name === '' ? '' : `euglena: there is no command "${plainText(name)}"\n\n`;
    io.stderr.write(`${problem}${help()}`);
    return 2;
  }
  const usage = `Usage: euglena ${name} ${command.usage}\n`;
  if (asksForHelp(args)) return print(io, `${usage}\n${command.summary}\n`);
  try {
    return await command.run(args, io);
  } catch (error) {
    io.stderr.write(`euglena: ${plainText(messageOf(error))}\n`);
    if (!(error instanceof UsageError)) return 1;
    io.stderr.write(usage);
    return 2;
  }
}

/** Behind `--` everything is text. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  const flags = end < 0 ? args : args.slice(0, end);
  return flags.includes('--help') || flags.includes('-h');
}

function print({ stdout }: Io, text: string): number {
  stdout.write(text);
  return 0;
}
