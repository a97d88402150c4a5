import { styleText } from 'node:util';
import { type Environment } from '../config/settings.js';
import { type JournalEntry } from '../domain/journal.js';
import { type Output } from './command.js';
import { plainLine } from './plain-text.js';

const BAR_CHARS = 24;
const WIDTH = 100;
const CLEAR_LINE = '\r\u001b[K';

/** Whether a stream wants colours (https://no-color.org). */
export function wantsColour(output: Output, env: Environment): boolean {
  return output.isTTY === true && (env.NO_COLOR ?? '') === '';
}

/** Paints a text, or leaves it as it is. */
export function paint(style: Parameters<typeof styleText>[0], text: string, colour: boolean): string {
  return colour ? styleText(style, text, { validateStream: false }) : text;
}

/** `[######..................]  3/12` */
export function progressBar(tick: number, maxTicks: number): string {
  const share = maxTicks > 0 ? Math.min(1, tick / maxTicks) : 0;
  const done = Math.round(share * BAR_CHARS);
  return `[${'#'.repeat(done)}${'.'.repeat(BAR_CHARS - done)}] ${tick}/${maxTicks}`;
}

/** Shows a journal as it grows: a line for each tick and, on a terminal, a bar below them. */
export class Progress {
  private maxTicks = 0;
  private readonly colour: boolean;

  constructor(
    private readonly output: Output,
    env: Environment,
  ) {
    this.colour = wantsColour(output, env);
  }

  show({ type, data }: JournalEntry): void {
    if (typeof data.max_ticks === 'number') this.maxTicks = data.max_ticks;
    if (type !== 'tick' || typeof data.tick !== 'number') return;
    this.clear();
    this.output.write(`${this.line(data.tick, data)}\n`);
    if (this.output.isTTY) this.output.write(progressBar(data.tick, this.maxTicks));
  }

  /** Takes the bar away; the lines stay. */
  clear(): void {
    if (this.output.isTTY) this.output.write(CLEAR_LINE);
  }

  /** `tick 1/12  SEARCH  the query`. An EXIT shows why, since its argument is the answer that follows. */
  private line(tick: number, data: Readonly<Record<string, unknown>>): string {
    const count = `tick ${tick}/${this.maxTicks}`;
    const action = textOf(data.action).padEnd(6);
    const about = textOf(data.action === 'EXIT' ? data.thought : data.argument);
    const room = Math.max(10, (this.output.columns ?? WIDTH) - count.length - action.length - 5);
    const { colour } = this;
    const painted = `${paint('dim', count, colour)}  ${paint('cyan', plainLine(action).padEnd(6), colour)}`;
    return `${painted}  ${plainLine(about, room)}`.trimEnd();
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
