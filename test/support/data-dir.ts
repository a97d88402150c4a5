import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A fresh, empty data folder and the way to remove it. */
export function temporaryDataDir(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'euglena-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
