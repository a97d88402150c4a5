import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

const KEYWORDS = new Set(
  'ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL RUN SHELL STOPSIGNAL USER VOLUME WORKDIR'.split(
    ' ',
  ),
);
const FROM = /^(\S+)(?: AS (\S+))?$/i;

export interface Instruction {
  readonly keyword: string;
  readonly text: string;
}

/** One `FROM` and what follows it. */
export interface BuildStage {
  readonly base: string;
  readonly name: string | null;
  readonly instructions: readonly Instruction[];
}

/** What a `COPY` takes from where: from a stage, or from the build context. */
export interface Copy {
  readonly from: string | null;
  readonly sources: readonly string[];
  readonly target: string;
}

/** A Dockerfile of this project, read as far as the tests need it. Fails on what is no instruction. */
export class Dockerfile {
  readonly stages: readonly BuildStage[];

  constructor(readonly name: string) {
    this.stages = stagesOf(instructionsOf(readFileSync(`${PROJECT}${name}`, 'utf8')));
  }

  /** What becomes the image. */
  get final(): BuildStage {
    const last = this.stages.at(-1);
    if (last === undefined) throw new Error(`${this.name} has no stage`);
    return last;
  }

  /** The arguments of every instruction of this kind in a stage. */
  all(keyword: string, stage = this.final): string[] {
    return stage.instructions.filter((one) => one.keyword === keyword).map(({ text }) => text);
  }

  /** The one instruction of this kind in the image. */
  one(keyword: string): string {
    const [only, ...more] = this.all(keyword);
    if (only === undefined || more.length > 0) throw new Error(`${this.name}: not one ${keyword}`);
    return only;
  }

  /** The variables that the image sets. */
  get environment(): Record<string, string> {
    const pairs = this.all('ENV').flatMap((text) => text.split(/\s+/));
    return Object.fromEntries(pairs.map((pair) => pair.split('=', 2) as [string, string]));
  }

  get copies(): Copy[] {
    return this.stages.flatMap((stage) => this.all('COPY', stage).map(copyOf));
  }

  /** The command that starts a container without arguments. */
  get entryPoint(): string[] {
    return execForm(this.one('ENTRYPOINT'));
  }

  get healthCheck(): string[] {
    return execForm(/\bCMD (.*)$/.exec(this.one('HEALTHCHECK'))?.[1] ?? '');
  }
}

export function copyOf(text: string): Copy {
  const words = text.split(/\s+/);
  const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length) ?? null;
  const paths = words.filter((word) => !word.startsWith('--'));
  return { from, sources: paths.slice(0, -1), target: paths.at(-1) ?? '' };
}

/** A command as a JSON array: no shell stands between Docker and the program, which would swallow its signals. */
function execForm(text: string): string[] {
  const command: unknown = JSON.parse(text);
  if (!Array.isArray(command) || command.some((word) => typeof word !== 'string')) {
    throw new Error(`not in exec form: ${text}`);
  }
  return command as string[];
}

function instructionsOf(text: string): Instruction[] {
  const lines = text.split('\n').filter((line) => !/^\s*(#|$)/.test(line));
  const logical = lines
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  return logical.map((line) => {
    const [, keyword = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    if (!KEYWORDS.has(keyword)) throw new Error(`no instruction of a Dockerfile: ${line}`);
    return { keyword, text: rest.trim() };
  });
}

function stagesOf(instructions: readonly Instruction[]): BuildStage[] {
  const stages: (Omit<BuildStage, 'instructions'> & { instructions: Instruction[] })[] = [];
  for (const instruction of instructions) {
    const [, base, name = null] = (instruction.keyword === 'FROM' && FROM.exec(instruction.text)) || [];
    if (base !== undefined) stages.push({ base, name, instructions: [] });
    else if (stages.length === 0) throw new Error('a Dockerfile begins with FROM');
    else stages.at(-1)?.instructions.push(instruction);
  }
  return stages;
}
