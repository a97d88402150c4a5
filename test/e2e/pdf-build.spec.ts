import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from '@jest/globals';
import { pdf } from '../support/pdf.js';

/** No page of a started program is a PDF that a test could serve: the address guard is there. So its parts are looked at. */
describe('the thread that reads PDFs, as built', () => {
  const programs = ['main.js', 'cli/main.js', ...readdirSync('dist/chunks').map((name) => `chunks/${name}`)];

  it('lies beside the code that starts it', () => {
    const starters = programs.filter(
      (name) =>
        name.endsWith('.js') && readFileSync(join('dist', name), 'utf8').includes('"./pdf-worker.js"'),
    );
    expect(starters).not.toEqual([]);
    for (const starter of starters) expect(starter).toMatch(/^chunks\//);
    expect(programs).toContain('chunks/pdf-worker.js');
  });

  it('reads a PDF', async () => {
    const bytes = Uint8Array.from(pdf(['(Euglena swims.) Tj'], 'On Euglena'));
    const limits = { maxPages: 9, maxChars: 9_999, maxBlockBytes: 9_999_999 };
    const worker = new Worker('./dist/chunks/pdf-worker.js', {
      workerData: { bytes, ...limits },
      execArgv: [],
    });
    expect(await once(worker, 'message')).toEqual([
      { title: 'On Euglena', text: 'Euglena swims.', truncated: false },
    ]);
    await worker.terminate();
  });
});
