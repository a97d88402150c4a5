import { expect, it } from '@jest/globals';
import { type Synthesized } from '../support/aws-templates.js';

/** The rows of docs/aws.md that have been tested, by name. */
export const rows: string[] = [];

/** A test of one row of the tables in docs/aws.md, which name it. */
export function row(name: string, test: () => void): void {
  rows.push(name);
  it(name, test);
}

/** Gives the synthesized templates; only inside a test. */
export type Given = () => Synthesized;

export { expect };
