import { sep } from 'node:path';
import TestSequencer from '@jest/test-sequencer';

/** Where the suites stand that start servers and break them, longest first. */
const LONG = [
  ['test', 'e2e', 'faults'],
  ['test', 'e2e'],
  ['test', 'contract'],
].map((path) => path.join(sep));

/** A long suite that begins last keeps one worker busy while the others have nothing left. */
export default class LongestFirst extends TestSequencer {
  sort(tests) {
    const rank = ({ path }) => {
      const found = LONG.findIndex((folder) => path.includes(folder));
      return found === -1 ? LONG.length : found;
    };
    return super.sort(tests).toSorted((a, b) => rank(a) - rank(b));
  }
}
